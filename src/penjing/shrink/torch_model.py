"""Checkpoints as torch modules: loaded with transformers, without a network and without a repository's own code, and
written as a whole folder with its manifest.

What transformers would do in silence is an error here: weights that are missing (it fills in random numbers), of
another shape, or not finite.

Does not know: what is done with a model between loading and saving.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import ModelCorrupt, ModelUnsupported
from penjing.files import require_room
from penjing.probe import checkpoint
from penjing.probe.faults import COPY_AGAIN
from penjing.shrink.extra import require
from penjing.shrink.lineage import Step, write
from penjing.shrink.output import whole_folder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from penjing.manifest import Manifest

KEPT = (
    "tokenizer*", "*.model", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json",
    "chat_template*", "generation_config.json", "*processor_config.json", "LICENSE*", "LICENCE*", "NOTICE*",
)  # fmt: skip
"""Files of a checkpoint besides its weights that a step leaves as they are."""
SHARD = "4GB"
TALKATIVE = ("bitsandbytes", "torchao", "torch.utils._pytree")
"""Loggers that tell of kernels they could fetch or compile."""
FAMILIES = ("llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "mistral", "phi3", "glm4")
"""Named where nothing has a similar name."""


class ArchitectureUnknown(ModelUnsupported):
    """Facts: `path`, `architecture`, `nearest`, `version` (of transformers)."""

    template = "{path} is a {architecture}, which transformers {version} does not know as a language model."
    hint = "Nearest that it knows: {nearest}. Code that comes with a checkpoint is never run."


class AlreadyQuantizedCheckpoint(ModelUnsupported):
    """Facts: `path`, `method`."""

    template = "{path} is already quantized ({method}); its weights cannot be trained or cut."
    hint = "Take the model's original checkpoint."


class WeightsIncomplete(ModelCorrupt):
    """Facts: `path`, `count`, `names`."""

    template = "{path} lacks {count} of the tensors that its config.json asks for: {names}"
    hint = COPY_AGAIN


class WeightsNotFinite(ModelCorrupt):
    """Facts: `path`, `tensor`, `count` (how many of its numbers)."""

    template = "{path}: the tensor {tensor} has {count} numbers that are NaN or infinite."
    hint = "Take an earlier checkpoint, or fetch the file again; a training that diverged needs a lower learning rate."


class LoadFailed(ModelCorrupt):
    """Facts: `path`, `detail` (transformers' words)."""

    template = "{path}: transformers cannot load it: {detail}"
    hint = COPY_AGAIN


@dataclass(frozen=True)
class TorchModel:
    """A loaded checkpoint. `dtype` is the one its file has, whatever the module computes in."""

    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: torch.dtype

    @property
    def parameters(self) -> int:
        """Numbers in the module; a tied head counts once."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def load(
    folder: Path, *, dtype: str = "float32", device: str = "cpu", quantization: object = None, stored: bool = False
) -> TorchModel:
    """The checkpoint in `folder` as a module in evaluation mode that computes in `dtype` ("auto": as it is stored).
    `quantization` is a transformers quantization config, for loading with bitsandbytes or torchao; `stored` takes a
    checkpoint that such a package has written.

    Raises ShrinkExtraMissing, NoConfig, MissingShards and what `probe.checkpoint.read` raises, ArchitectureUnknown,
    AlreadyQuantizedCheckpoint, WeightsIncomplete, WeightsNotFinite, LoadFailed."""
    require()
    checkpoint.read(folder)
    require_known(folder, stored=stored)
    with quiet():
        return _load(folder, dtype, device, quantization, stored)


def _load(folder: Path, dtype: str, device: str, quantization: object, stored: bool) -> TorchModel:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    offline: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **offline)
        more = {"quantization_config": quantization} if quantization is not None else {}
        model, about = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            device_map=device if more or stored else None,
            output_loading_info=True,
            use_safetensors=True,
            **more,
            **offline,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **offline)
    except Exception as error:  # tokenizers raises bare ones, and transformers whatever a config's value leads to
        raise LoadFailed(path=str(folder), detail=_first_line(error)) from error
    require_complete(folder, about)
    if not more and not stored:
        require_finite(model, folder)
        model.to(device)
    written = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    return TorchModel(folder, model.eval(), tokenizer, written)


def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer alone. Raises ShrinkExtraMissing, LoadFailed."""
    require()
    from transformers import AutoTokenizer

    with quiet():
        try:
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # as in `_load`
            raise LoadFailed(path=str(folder), detail=_first_line(error)) from error
    return found


def require_known(folder: Path, *, stored: bool = False) -> None:
    """Raises ArchitectureUnknown, naming the nearest known ones, and, unless that is wanted (`stored`),
    AlreadyQuantizedCheckpoint."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = checkpoint.load_json(folder / checkpoint.CONFIG)
    method = config.get("quantization_config")
    if isinstance(method, dict) and not stored:
        raise AlreadyQuantizedCheckpoint(path=str(folder), method=method.get("quant_method", "?"))
    kind = str(config.get("model_type", "?"))
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if kind not in known:
        nearest = ", ".join(get_close_matches(kind, known, n=3) or FAMILIES)
        facts = {"architecture": kind, "nearest": nearest, "version": transformers.__version__}
        raise ArchitectureUnknown(path=str(folder), **facts)


def require_complete(folder: Path, about: dict[str, Any]) -> None:
    """Raises WeightsIncomplete for what transformers filled in by itself; `about` is its loading info."""
    names = sorted({*about["missing_keys"], *(str(key[0]) for key in about["mismatched_keys"])})
    if names:
        shown = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
        raise WeightsIncomplete(path=str(folder), count=len(names), names=shown)


def require_finite(model: torch.nn.Module, path: Path) -> None:
    """Raises WeightsNotFinite, naming the first tensor with NaN or infinity. What torchao keeps in few bits is passed
    over: it is frozen, and sums are not among what it computes."""
    import torch

    for name, values in model.named_parameters():
        if hasattr(values, "tensor_data_names"):
            continue
        if not bool(torch.isfinite(values.sum())):  # one pass; a sum of finite numbers may still overflow
            count = int((~torch.isfinite(values)).sum())
            if count:
                raise WeightsNotFinite(path=str(path), tensor=name, count=count)


def save(loaded: TorchModel, output: Path, step: Step, *, tokenizer: PreTrainedTokenizerBase | None = None) -> Manifest:
    """Write the module as the checkpoint `output`, in the dtype that its parent has on disk (the module is converted in
    place), with a manifest that tells `step`. The parent's tokenizer files are copied as they are, byte for byte,
    unless another `tokenizer` is given. Whole or not at all.

    Raises OutputTaken, DiskFull, WeightsNotFinite (a training that diverged)."""
    require_finite(loaded.model, output)
    loaded.model.to(loaded.dtype)
    require_room(output.parent, int(loaded.parameters * loaded.dtype.itemsize * 1.05))
    with whole_folder(output) as folder, quiet():
        loaded.model.save_pretrained(folder, max_shard_size=SHARD)
        keep(loaded.folder, folder, without_tokenizer=tokenizer is not None)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        return write(folder, output.name, loaded.folder, step)


def keep(source: Path, target: Path, *, without_tokenizer: bool = False) -> None:
    """Copy what a step leaves as it is from one checkpoint folder to another."""
    for path in sorted(source.iterdir()):
        mine = any(fnmatch(path.name, pattern) for pattern in KEPT)
        general = path.name.startswith(("generation_config", "LICEN", "NOTICE")) or "processor" in path.name
        if path.is_file() and mine and (general or not without_tokenizer):
            shutil.copyfile(path, target / path.name)


@contextmanager
def quiet() -> Iterator[None]:
    """transformers, and what it loads, without bars and warnings; what matters in them is checked and said by us."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    from transformers.utils import logging as theirs

    level, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


@contextmanager
def hushed() -> Iterator[None]:
    """Without the warnings that peft, bitsandbytes and torchao draw from newer versions of what they use."""
    with warnings.catch_warnings(), quiet():
        for kind in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        yield


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
