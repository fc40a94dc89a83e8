"""What can be wrong with a model on disk, one class a fault.

    ModelNotFound
    ├── CannotOpen
    └── NoWeights
    ModelCorrupt
    ├── EmptyFile
    ├── Truncated
    │   └── HeaderCut
    ├── DamagedHeader
    ├── MissingShards
    │   └── RenamedShard
    ├── DamagedConfig
    ├── TensorMissing
    └── TensorShape
    ModelUnsupported
    ├── NotAModel         NotAFile  HtmlPage  LfsPointer  PickleFile  SealedFile
    │                     ZipArchive  OldFormat
    ├── WrongByteOrder
    ├── UnknownFormatVersion
    ├── UnknownTensorType
    ├── NoConfig
    ├── ManyModels
    └── OnlyAnAdapter

Does not know: how the headers are read.
"""

from __future__ import annotations

from penjing.errors import ModelCorrupt, ModelNotFound, ModelUnsupported

COPY_AGAIN = "Fetch or copy the file again, then compare its size and SHA-256 with the source's."
KNOWN_FORMATS = "penjing reads .gguf files and folders with config.json and .safetensors files."


class CannotOpen(ModelNotFound):
    """Facts: `path`, `detail` (the system's words)."""

    template = "{path} cannot be opened: {detail}"
    hint = "See who may read it: ls -l {path}"


class NoWeights(ModelNotFound):
    """Facts: `path`."""

    template = "{path} holds no model weights."
    hint = KNOWN_FORMATS


class EmptyFile(ModelCorrupt):
    """Facts: `path`."""

    template = "{path} is empty (0 bytes)."
    hint = COPY_AGAIN


class Truncated(ModelCorrupt):
    """Facts: `path`, `size`, `wanted`, `missing` (bytes), `name` (the first tensor that is not whole)."""

    template = "{path} is cut short: {missing} bytes are missing ({size} of {wanted}), from {name} on."
    hint = COPY_AGAIN


class HeaderCut(Truncated):
    """What follows the header is not known yet, so more than `missing` may be. Facts: `path`, `size`, `missing`
    (bytes), `word` (what was being read), `name` (of which entry, quoted; may be empty)."""

    template = (
        "{path} ends within its header, in {word}{name}: at least {missing} bytes are missing ({size} are there)."
    )


class DamagedHeader(ModelCorrupt):
    """Facts: `path`, `word` (what was being read), `name` (of which entry, quoted; may be empty), `value` (what stood
    there), `wanted` (what could be)."""

    template = "{path} is damaged: {word}{name} is {value}, which cannot be ({wanted})."
    hint = COPY_AGAIN


class MissingShards(ModelCorrupt):
    """Facts: `path`, `count`, `missing` (comma-separated names)."""

    template = "{path} is in several files and {count} of them are missing: {missing}"
    hint = "Put the missing files into the same folder under exactly these names."


class RenamedShard(MissingShards):
    """Facts: `path`, `count`, `wanted` (the form of the name)."""

    template = "{path} is one of {count} files of a model, and its name no longer says which."
    hint = "Rename all of them back: {wanted} and so on."


class DamagedConfig(ModelCorrupt):
    """Facts: `path`, `detail` (the JSON reader's words)."""

    template = "{path} cannot be read: {detail}"
    hint = COPY_AGAIN


class TensorMissing(ModelCorrupt):
    """Facts: `path`, `names`."""

    template = "{path} lacks tensors that its config.json asks for: {names}"
    hint = COPY_AGAIN


class TensorShape(ModelCorrupt):
    """Facts: `path`, `tensor`, `shape`, `wanted`."""

    template = "{path}: the tensor {tensor} has shape {shape}, and config.json says {wanted}."
    hint = COPY_AGAIN


class NotAModel(ModelUnsupported):
    """Facts: `path`, `start` (its first bytes)."""

    template = "{path} is not a model file: it begins with {start}."
    hint = KNOWN_FORMATS


class NotAFile(NotAModel):
    """Facts: `path`."""

    template = "{path} is a device or a socket, not a file."


class HtmlPage(NotAModel):
    """Facts: `path`."""

    template = (
        "{path} is a web page, not a model: a download that asked for a login or failed was saved under this name."
    )
    hint = (
        "Download the file itself (often a link named 'download' or 'resolve'), signed in where the site asks for it."
    )


class LfsPointer(NotAModel):
    """Facts: `path`."""

    template = "{path} is a Git LFS pointer: it names the model's content and does not hold it."
    hint = "In its repository run: git lfs pull"


class PickleFile(NotAModel):
    """Facts: `path`."""

    template = "{path} is a PyTorch pickle, which can run any program when it is loaded; penjing does not open it."
    hint = "Take the model's .safetensors files, or save it as such: model.save_pretrained(FOLDER) in transformers."


class SealedFile(NotAModel):
    """Facts: `path`."""

    template = "{path} is a sealed model: without its key nobody can look into it."
    hint = "penjing chat {path} asks for the key; penjing unseal {path} --output FILE writes the plain model."


class ZipArchive(NotAModel):
    """Facts: `path`."""

    template = "{path} is a ZIP archive (or a PyTorch .bin, .pt or .pth, which is one); penjing does not open it."
    hint = "Unpack an archive first; of a PyTorch model take the .safetensors files."


class OldFormat(NotAModel):
    """Facts: `path`, `format`."""

    template = "{path} is in the {format} format of 2023, which llama.cpp no longer reads."
    hint = "Take a newer .gguf of the same model, or its .safetensors folder."


class WrongByteOrder(ModelUnsupported):
    """Facts: `path`, `order` (`big` or `little`)."""

    template = "{path} is a GGUF file in {order}-endian byte order; this machine reads the other."
    hint = "Convert a copy of it in place: gguf-convert-endian {path} native"


class UnknownFormatVersion(ModelUnsupported):
    """Facts: `path`, `version`."""

    template = "{path} is a GGUF file of version {version}; versions 2 and 3 are known."
    hint = "Take a newer file of the same model, or update penjing."


class UnknownTensorType(ModelUnsupported):
    """Facts: `path`, `tensor`, `type`."""

    template = "{path}: the tensor {tensor} has type {type}, which this version of penjing does not know."
    hint = "Update penjing, or take another quantization of the same model."


class NoConfig(ModelUnsupported):
    """Facts: `path`."""

    template = "{path} has .safetensors files and no config.json, so nothing says what kind of model they are."
    hint = "Copy config.json and the tokenizer's files from the model's source into the same folder."


class ManyModels(ModelUnsupported):
    """Facts: `path`, `names`, `first`."""

    template = "{path} holds several models: {names}"
    hint = "Name one of them: {first}"


class OnlyAnAdapter(ModelUnsupported):
    """Facts: `path`, `base` (the model it belongs to)."""

    template = "{path} is a LoRA adapter for {base}, not a model."
    hint = "Give the base model's folder or .gguf file as MODEL."
