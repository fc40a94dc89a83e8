"""What was found out about a model: the one document that every step of shrinking is judged by.

Does not know: how anything was measured, how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FORM = 1
"""Of the document; higher when a field changes its meaning."""


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds it with 95 % (percentiles of a bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Divergence:
    """How far the distributions of the next token are from the parent's, in nats: KL(parent || model) at every scored
    position (`kl` is their mean). `same` is the share of positions whose likeliest token is the parent's. `loss` is the
    mean of ln(parent's probability of the text's own token / the model's), so that exp(loss) is the ratio of the
    perplexities, and `parent_perplexity` the parent's."""

    kl: Estimate
    kl_median: float
    kl_p99: float
    kl_most: float
    same: Estimate
    loss: Estimate
    parent_perplexity: float


@dataclass(frozen=True)
class TextQuality:
    """On one text: `windows` of `context` tokens, of which `tokens` in all were scored. `digest` is the text's SHA-256,
    `against` None where there was no parent."""

    name: str
    digest: str
    windows: int
    context: int
    tokens: int
    perplexity: Estimate
    against: Divergence | None = None


@dataclass(frozen=True)
class TaskQuality:
    """On one set of questions: the share that was right, in [0, 1]. `lost` is the parent's share less this one, asked
    the same questions (above 0: worse than the parent); None where there was no parent. `metric` is how it was judged;
    `digest` the SHA-256 of the questions."""

    name: str
    digest: str
    metric: str
    questions: int
    accuracy: Estimate
    parent_accuracy: float | None = None
    lost: Estimate | None = None


@dataclass(frozen=True)
class Running:
    """On this machine's engine: resident memory in bytes while it answers (0 where unknown), tokens a second of a
    prompt of `prompt` tokens and of the answer to it."""

    memory: int
    prompt: int
    prefill: float
    decode: float


@dataclass(frozen=True)
class Quality:
    """`text` is over all texts together, `parts` each of them alone (empty where there was one; `text` is None where
    there was none). Sizes in bytes of the tensors' files, `bits_per_weight` over all weights; `parent_*` are "" or 0
    without a parent. `running` is filled in by whoever can start engines."""

    model: str
    bytes: int
    parameters: int
    bits_per_weight: float
    parent: str = ""
    parent_bytes: int = 0
    parent_bits_per_weight: float = 0.0
    text: TextQuality | None = None
    parts: tuple[TextQuality, ...] = ()
    tasks: tuple[TaskQuality, ...] = ()
    running: Running | None = None
    parent_running: Running | None = None
    form: int = FORM

    def document(self) -> dict[str, Any]:
        """As JSON and a manifest can hold it."""
        import msgspec

        found: dict[str, Any] = msgspec.to_builtins(self)
        return found
