"""By what a kept answer is found: everything that the answer depends on, and who may read it.

Does not know: where it is kept.
"""

from __future__ import annotations

import hashlib

import msgspec

from penjing.engines.engine import Capabilities
from penjing.gateway.dialects.openai import wire

FORM = b"1"
"""Another number, and nothing that was kept before is found."""
MEANINGLESS = (
    *("stream", "stream_options", "model", "user", "metadata", "safety_identifier", "service_tier"),
    *("prompt_cache_key", "prompt_cache_retention", "cache_prompt", "store"),
)
"""Fields that no answer depends on; the model counts by what really answers."""


def name(body: bytes, kind: type[wire.Body], model: Capabilities, owner: str) -> bytes:
    """32 bytes for the question `body` to `model`; `owner` is the key's name, "" where answers are shared."""
    fields = msgspec.json.decode(body, type=dict[str, object])
    for field in MEANINGLESS:
        fields.pop(field, None)
    digest = hashlib.sha256()
    parts = (FORM, owner.encode(), kind.__name__.encode(), model.model.encode(), model.version.encode())
    for part in (*parts, msgspec.json.encode(fields, order="sorted")):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def deterministic(body: wire.AnyBody) -> bool:
    """Whether the same question gets the same answer: nothing is drawn, or drawn with a seed of the client's own."""
    if isinstance(body, wire.Weighing):
        return True
    seeded = body.seed is not None and body.seed >= 0
    return body.temperature == 0 or body.top_k == 1 or seeded


def replayable(body: wire.AnyBody) -> bool:
    """Whether a kept answer can be given again in either form."""
    if isinstance(body, wire.Weighing):
        return True
    if body.logprobs is not None and body.logprobs is not False:
        return False
    extras = (body.return_progress, body.timings_per_token, body.return_tokens, body.post_sampling_probs, body.n_probs)
    return (body.n or 1) == 1 and len(wire.prompts(body)) == 1 and not any(extras)
