"""Who learns: a checkpoint (a pruned one, say), or a new model of a smaller config with the teacher's tokenizer.

Does not know: teaching.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.probe import checkpoint
from penjing.shrink import torch_model
from penjing.shrink.distill.faults import VocabulariesDiffer
from penjing.shrink.torch_model import TorchModel

if TYPE_CHECKING:
    import torch

SPARSE = 0.3
"""Share of zeros from which a matrix was pruned on purpose: they stay zero."""


def load(path: Path, teacher: TorchModel | None, device: str, seed: int) -> TorchModel:
    """The student at `path`: a checkpoint folder, else a `config.json` (or a folder with one alone) of which a new
    model is made. Raises what `torch_model.load` raises, VocabulariesDiffer."""
    page = path / checkpoint.CONFIG if path.is_dir() else path
    if teacher is None or (path.is_dir() and checkpoint.has_weights(path)):
        found = torch_model.load(path, device=device)
    else:
        found = _new(page, teacher, device, seed)
    if teacher is not None:
        require_same_words(teacher, found)
    return found


def _new(page: Path, teacher: TorchModel, device: str, seed: int) -> TorchModel:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = checkpoint.load_json(page)
    torch_model.require_known(page.parent)
    kind = values.pop("model_type")
    torch.manual_seed(seed)
    with torch_model.quiet():
        try:
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values)).float()
        except Exception as error:  # transformers raises whatever a config's value leads to
            raise torch_model.LoadFailed(path=str(page), detail=f"{type(error).__name__}: {error}"[:300]) from error
    return TorchModel(teacher.folder, model.to(device).eval(), teacher.tokenizer, teacher.dtype)


def require_same_words(teacher: TorchModel, student: TorchModel) -> None:
    """Raises VocabulariesDiffer unless both write the same tokens under the same numbers."""
    facts = {"teacher": str(teacher.folder), "student": str(student.folder)}
    sizes = [each.model.config.vocab_size for each in (teacher, student)]
    if sizes[0] != sizes[1]:
        raise VocabulariesDiffer(**facts, detail=f"{sizes[0]} and {sizes[1]} tokens")
    words = [each.tokenizer.get_vocab() for each in (teacher, student)]
    for word, number in words[0].items():
        if words[1].get(word) != number:
            raise VocabulariesDiffer(**facts, detail=f"{word!r} is {number} and {words[1].get(word)}")


def keep_zeros(model: torch.nn.Module) -> int:
    """Let numbers that pruning made zero stay so while the model learns; how many matrices that concerns."""
    found = 0
    for values in model.parameters():
        if values.dim() == 2 and float((values == 0).float().mean()) > SPARSE:
            values.register_hook(_masking((values != 0).detach()))
            found += 1
    return found


def _masking(mask: Any) -> Any:
    return lambda gradient: gradient * mask
