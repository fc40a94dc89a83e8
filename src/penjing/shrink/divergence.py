"""How far one model's answers are from another's: Kullback-Leibler divergence of next-token distributions, in nats a
learned token, both computed by torch (`evaluate` measures files on the real engine).

Does not know: training.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from penjing.shrink.packing import IGNORED, Batch
from penjing.shrink.prune.anatomy import KINDS

if TYPE_CHECKING:
    from torch import Tensor


def logits(model: Any, batch: Batch) -> Tensor:
    """At the learned positions: [learned, vocabulary] float32. Of kinds whose head is known it alone is computed."""
    chosen = batch.labels != IGNORED
    given = {"input_ids": batch.tokens, "position_ids": batch.positions, "use_cache": False}
    if model.config.model_type not in KINDS:
        return _float(model(**given).logits[chosen])
    made = _float(model.lm_head(model.model(**given).last_hidden_state[chosen]))
    cap = getattr(model.config, "final_logit_softcapping", None)
    return made if cap is None else (made / cap).tanh() * cap


def _float(values: Tensor) -> Tensor:
    return values.float()


def divergence(teacher: Any, student: Any, batches: Iterable[Batch]) -> float:
    """The mean of KL(teacher || student) over learned tokens."""
    import torch

    from penjing.shrink.kl import kl

    total, tokens = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            if batch.learned:
                total += float(kl(logits(teacher, batch), logits(student, batch)))
                tokens += batch.learned
    return total / max(tokens, 1)
