"""What a step found, in sentences; what no sentence is known for as name and value.

Does not know: steps, pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penjing.plan.said import Said, said

TOLD = frozenset(
    {
        "parameters", "ended", "steps", "chosen", "loss", "before", "after", "seconds", "label", "kl_expected",
        "kl_calibration", "files_tried", "added", "first", "tokens_per_character_before", "tokens_per_character",
    }
)  # fmt: skip
"""Names that sentences tell, or that say nothing beside them."""
FEW = 6
"""Others that are told."""


def findings(found: Mapping[str, Any]) -> Iterator[Said]:
    """`found` as a step left it."""
    if isinstance(cut := found.get("parameters"), Mapping):
        yield said("{before} weights before, {after} now", before=f"{cut['before']:,}", after=f"{cut['after']:,}")
    if "ended" in found:
        yield from _trained(found)
    if "label" in found:
        yield said("mostly {label}", label=found["label"])
    if found.get("kl_calibration") is not None:
        told = "Divergence from the original on the calibration text: {kl:.5f} nats a token ({tried} files tried)."
        yield said(told, kl=found["kl_calibration"], tried=found["files_tried"])
    if "added" in found and "tokens_per_character" in found:
        before, after = found["tokens_per_character_before"], found["tokens_per_character"]
        yield said("{count} tokens added; {before:.2f} -> {after:.2f} tokens a character of new text",
                   count=found["added"], before=before, after=after)  # fmt: skip
    others = [
        (name, value) for name, value in found.items() if name not in TOLD and isinstance(value, (int, float, str))
    ]
    for name, value in others[:FEW]:
        yield said("{name}: {value}", name=name, value=f"{value:.4g}" if isinstance(value, float) else value)


def _trained(found: Mapping[str, Any]) -> Iterator[Said]:
    steps, before, after = found.get("steps"), found.get("before"), found.get("after")
    if before is None or after is None:
        yield said("{steps} steps, loss {loss:.4f}", steps=steps, loss=found.get("loss") or 0.0)
        return
    told = "{steps} steps, held-out loss {before:.4f} -> {after:.4f} (step {chosen})"
    yield said(told, steps=steps, before=before, after=after, chosen=found.get("chosen"))
    if found.get("chosen") == 0:
        yield said("No step made the loss on what is held out better: the result is the model as it was.")
