"""What `penjing probe MODEL` says of a model: rows for people, one document for programs.

Does not know: how its header was read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penjing.files import human
from penjing.language import say

if TYPE_CHECKING:
    from penjing.probe.facts import Model

Row = tuple[str, str]


def rows(facts: Model) -> list[Row]:
    """Name and value, for people."""
    weights = say(
        "{size}, {label} ({bits:.2f} bits a weight)",
        size=human(facts.bytes),
        label=facts.quantization,
        bits=facts.bits_per_weight,
    )
    return [
        (say("file"), str(facts.path)),
        (say("name"), facts.name or "-"),
        (say("architecture"), facts.architecture),
        (say("parameters"), f"{facts.parameters:,}"),
        (say("weights"), weights),
        *([(say("tensor types"), types(facts))] if facts.tensors else []),
        (say("trained context"), say("{tokens} tokens", tokens=facts.context)),
        (say("layers"), f"{facts.layers} × {facts.embedding}"),
        *_layers(facts),
        (say("vocabulary"), say("{tokens} tokens", tokens=facts.vocabulary)),
        (say("chat template"), say("yes") if facts.chat_template else say("no")),
    ]


def types(facts: Model) -> str:
    """The types of the tensors by their share of the bytes, the largest first."""
    found: dict[str, int] = {}
    for tensor in facts.tensors:
        found[tensor.type] = found.get(tensor.type, 0) + tensor.bytes
    total = sum(found.values()) or 1
    ranked = sorted(found, key=lambda kind: -found[kind])
    return ", ".join(
        f"{kind} {found[kind] / total * 100:.{0 if found[kind] * 100 > total else 2}f} %" for kind in ranked
    )


def _layers(facts: Model) -> Iterator[Row]:
    """Heads, experts, and what the layers remember (`plan.layers`)."""
    from penjing.plan.layers import fact, layers

    heads = say("{heads} heads, {kv_heads} for keys and values", heads=facts.heads, kv_heads=facts.kv_heads)
    yield say("attention"), heads
    for layer, count in layers(facts).items():
        if layer.window:
            window = say(
                "{count} of {layers} layers see {window} tokens", count=count, layers=facts.layers, window=layer.window
            )
            yield say("sliding window"), window
        if layer.keys and not layer.values:
            yield say("latent attention"), say("{width} numbers a token and layer (MLA)", width=layer.keys)
        if not layer.keys:
            state = say(
                "{count} of {layers} layers keep {size}", count=count, layers=facts.layers, size=human(layer.state)
            )
            yield say("recurrent state"), state
    if facts.experts:
        used = fact(facts, "expert_used_count", "num_experts_per_tok", "experts_per_token")
        yield say("experts"), say("{experts}, of which a token uses {used}", experts=facts.experts, used=used or "?")


def document(facts: Model) -> Any:
    """Everything as JSON can hold it; tensors are counted, not listed."""
    import msgspec

    fields = {field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)}
    fields["tensors"] = len(facts.tensors)
    return msgspec.to_builtins(fields, enc_hook=str)
