"""The quantizations that a source has, as candidates of a plan: one header was read, of the others the size is known
and the mixture is computed.

Does not know: how they are fetched.
"""

from __future__ import annotations

from collections.abc import Sequence

from penjing.plan.answer import Candidate
from penjing.plan.mixes import quantized
from penjing.probe.facts import Model
from penjing.sources.variants import LABEL, Variant


def offered(model: Model, sample: Variant, ggufs: Sequence[Variant]) -> dict[str, tuple[Variant, Candidate]]:
    """By label, the GGUF variants `ggufs`, of which `sample` is the one that `model` was read from. Of several files of
    one label the first is meant; a file whose name says no quantization may be another model and is left out, unless
    it is the sample."""
    overhead = max(sample.bytes - model.bytes, 0)
    found: dict[str, tuple[Variant, Candidate]] = {}
    for variant in (sample, *ggufs):
        if variant is sample:
            label = variant.label if LABEL.fullmatch(variant.label) else model.quantization
            found[label] = (variant, Candidate(label, model, "published"))
        elif LABEL.fullmatch(variant.label) and variant.label not in found:
            made = quantized(model, variant.label, variant.bytes - overhead)
            found[variant.label] = (variant, Candidate(variant.label, made, "published"))
    return found
