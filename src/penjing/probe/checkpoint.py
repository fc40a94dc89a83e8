"""A checkpoint folder in transformers' form: config.json, .safetensors files, tokenizer files.

Keys: transformers' `PretrainedConfig`, with the older spellings that checkpoints still carry.

Does not know: how a safetensors header is laid out, how to convert a checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from penjing.probe import safetensors
from penjing.probe.agreement import check
from penjing.probe.facts import Model, commonest, count
from penjing.probe.faults import (
    DamagedConfig,
    MissingShards,
    NoConfig,
    NoWeights,
    OnlyAnAdapter,
    PickleFile,
)
from penjing.probe.tensor import Tensor

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
LARGEST_JSON = 256 << 20
NAMES_SHOWN = 5


def present(folder: Path) -> bool:
    """Whether `folder` looks like a checkpoint, whole or not."""
    return has_weights(folder) or any((folder / name).exists() for name in (CONFIG, ADAPTER))


def has_weights(folder: Path) -> bool:
    """Whether `folder` has, or should have, .safetensors files."""
    return (folder / INDEX).exists() or any(folder.glob("*.safetensors"))


def load_json(path: Path) -> dict[str, Any]:
    """A JSON object from disk. Raises DamagedConfig where it is unreadable, too large or not an object."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise DamagedConfig(path=str(path), detail="it is too large")
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedConfig(path=str(path), detail=str(error)) from error


def read_file(path: Path) -> Model:
    """The checkpoint that one .safetensors file belongs to: its folder's. Raises NoConfig without a config.json."""
    if not (path.parent / CONFIG).is_file():
        safetensors.read(path)  # a damaged file is said to be so before a missing config is
        raise NoConfig(path=str(path.parent))
    return read(path.parent)


def read(folder: Path) -> Model:
    """The model in `folder`. Raises ModelCorrupt, ModelUnsupported, NoWeights."""
    if not (folder / CONFIG).is_file():
        if (folder / ADAPTER).is_file():
            base = load_json(folder / ADAPTER).get("base_model_name_or_path", "?")
            raise OnlyAnAdapter(path=str(folder), base=base)
        raise NoConfig(path=str(folder))
    config = load_json(folder / CONFIG)
    files = weights(folder)
    tensors = tuple(tensor for path in files for tensor in safetensors.read(path))
    return assemble(folder, config, files, tensors, name=folder.resolve().name, template=chat_template(folder))


def weights(folder: Path) -> tuple[Path, ...]:
    """The weight files of a checkpoint. Raises MissingShards, NoWeights, PickleFile."""
    if (folder / INDEX).is_file():
        listed = load_json(folder / INDEX).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
            raise DamagedConfig(path=str(folder / INDEX), detail="'weight_map' is not a table of file names")
        names = sorted(set(listed.values()))
        if any(Path(name).name != name for name in names):
            raise DamagedConfig(path=str(folder / INDEX), detail="'weight_map' names a file outside the folder")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            shown = ", ".join(missing[:NAMES_SHOWN]) + (" ..." if len(missing) > NAMES_SHOWN else "")
            raise MissingShards(path=str(folder), count=len(missing), missing=shown)
        return tuple(folder / name for name in names)
    found = tuple(sorted(folder.glob("*.safetensors")))
    if (folder / "model.safetensors") in found:
        return (folder / "model.safetensors",)
    if found:
        return found
    pickles = sorted((*folder.glob("pytorch_model*.bin"), *folder.glob("*.pth"), *folder.glob("*.pt")))
    if pickles:
        raise PickleFile(path=str(pickles[0]))
    raise NoWeights(model=str(folder), path=str(folder))


def assemble(
    folder: Path,
    config: dict[str, Any],
    files: tuple[Path, ...],
    tensors: tuple[Tensor, ...],
    *,
    name: str,
    template: str = "",
) -> Model:
    """The model that `config` and the headers of its weights describe. Raises ModelCorrupt."""
    nested = config.get("text_config")
    text: dict[str, Any] = {**config, **nested} if isinstance(nested, dict) else config
    heads = count(text, "num_attention_heads", "n_head")
    embedding = count(text, "hidden_size", "n_embd")
    width = count(text, "head_dim") or (embedding // heads if heads else 0)
    parameters = sum(tensor.elements for tensor in tensors)
    size = sum(tensor.bytes for tensor in tensors)
    found = Model(
        path=folder,
        format="safetensors",
        architecture=str(config.get("model_type", "")),
        name=name,
        parameters=parameters,
        bytes=size,
        tensors=tensors,
        files=files,
        context=count(text, "max_position_embeddings", "n_positions", "seq_length"),
        layers=count(text, "num_hidden_layers", "n_layer", "num_layers"),
        embedding=embedding,
        heads=heads,
        kv_heads=count(text, "num_key_value_heads", "multi_query_group_num") or heads,
        key_length=width,
        value_length=width,
        feed_forward=count(text, "intermediate_size", "ffn_hidden_size", "n_inner"),
        vocabulary=count(text, "vocab_size", "padded_vocab_size"),
        sliding_window=count(text, "sliding_window") if text.get("use_sliding_window", True) else 0,
        experts=count(text, "num_local_experts", "num_experts", "n_routed_experts"),
        quantization=commonest(tensors),
        bits_per_weight=size * 8 / parameters if parameters else 0.0,
        chat_template=template,
        has_vision="vision_config" in config,
        metadata={key: value for key, value in config.items() if isinstance(value, (str, int, float, bool))},
    )
    return check(found)


def chat_template(folder: Path) -> str:
    """The Jinja template: chat_template.jinja, else the one in tokenizer_config.json (its `default` where it has
    several); empty where there is none."""
    page = folder / "chat_template.jinja"
    if page.is_file():
        return page.read_text(encoding="utf-8", errors="replace")
    settings = folder / "tokenizer_config.json"
    found = load_json(settings).get("chat_template") if settings.is_file() else None
    if isinstance(found, list):
        named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = named.get("default") or next(iter(named.values()), "")
    return found if isinstance(found, str) else ""
