"""A GGUF model: one file, or shards named `NAME-00001-of-00003.gguf` (gguf-split's habit).

Keys: github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized key-value pairs".

Does not know: how a header is laid out.
"""

from __future__ import annotations

import re
from pathlib import Path

from penjing.probe import gguf
from penjing.probe.agreement import check
from penjing.probe.facts import Model, commonest, count
from penjing.probe.faults import DamagedHeader, MissingShards, RenamedShard
from penjing.probe.ggml import MIXES
from penjing.probe.tensor import Tensor

SHARD = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")
POOLING = {1: "mean", 2: "cls", 3: "last", 4: "rank"}  # llama.h, llama_pooling_type
NAMES_SHOWN = 5


def first_shard(path: Path) -> Path:
    """The shard that holds the metadata of the model `path` belongs to; `path` itself where it is whole."""
    parts = SHARD.match(path.name)
    return path.with_name(f"{parts['stem']}-00001-of-{parts['count']}.gguf") if parts else path


def read(path: Path) -> Model:
    """The model that `path` is, or is a shard of. Raises ModelCorrupt, ModelUnsupported."""
    paths = _shards(path)
    return assemble(paths, [gguf.read(shard) for shard in paths])


def assemble(paths: tuple[Path, ...], headers: list[gguf.Header]) -> Model:
    """The model whose shards are `paths`, from their headers. Raises ModelCorrupt."""
    path, first = paths[0], headers[0]
    promised = count(first.metadata, "split.count")
    if len(paths) == 1 and promised > 1:
        raise RenamedShard(path=str(path), count=promised, wanted=f"NAME-00001-of-{promised:05}.gguf")
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    promised = count(first.metadata, "split.tensors.count")
    if len(paths) > 1 and promised and promised != len(tensors):
        raise DamagedHeader(
            path=str(paths[0]), word="the number of tensors", name="", value=promised, wanted=f"== {len(tensors)}"
        )
    return check(_model(paths, first, tensors))


def _shards(path: Path) -> tuple[Path, ...]:
    parts = SHARD.match(path.name)
    if not parts:
        return (path,)
    total = int(parts["count"])
    names = [path.with_name(f"{parts['stem']}-{number:05}-of-{total:05}.gguf") for number in range(1, total + 1)]
    missing = [name.name for name in names if not name.is_file()]
    if missing or not names:
        shown = ", ".join(missing[:NAMES_SHOWN]) + (" ..." if len(missing) > NAMES_SHOWN else "")
        raise MissingShards(path=str(path), count=len(missing), missing=shown)
    return tuple(names)


def _model(paths: tuple[Path, ...], header: gguf.Header, tensors: tuple[Tensor, ...]) -> Model:
    facts = header.metadata
    arch = str(facts.get("general.architecture", ""))
    heads = count(facts, f"{arch}.attention.head_count")
    embedding = count(facts, f"{arch}.embedding_length")
    width = embedding // heads if heads else 0
    parameters = sum(tensor.elements for tensor in tensors)
    size = sum(tensor.bytes for tensor in tensors)
    return Model(
        path=paths[0],
        format="gguf",
        architecture=arch,
        name=str(facts.get("general.name", "")) or paths[0].stem,
        parameters=parameters,
        bytes=size,
        tensors=tensors,
        files=paths,
        context=count(facts, f"{arch}.context_length"),
        layers=count(facts, f"{arch}.block_count"),
        embedding=embedding,
        heads=heads,
        kv_heads=count(facts, f"{arch}.attention.head_count_kv") or heads,
        key_length=count(facts, f"{arch}.attention.key_length") or width,
        value_length=count(facts, f"{arch}.attention.value_length") or width,
        feed_forward=count(facts, f"{arch}.feed_forward_length"),
        vocabulary=header.lengths.get("tokenizer.ggml.tokens", 0) or count(facts, f"{arch}.vocab_size"),
        sliding_window=count(facts, f"{arch}.attention.sliding_window"),
        experts=count(facts, f"{arch}.expert_count"),
        quantization=_label(tensors, facts),
        bits_per_weight=size * 8 / parameters if parameters else 0.0,
        chat_template=str(facts.get("tokenizer.chat_template", "")),
        has_vision=bool(facts.get("clip.has_vision_encoder", False)),
        pooling=POOLING.get(count(facts, f"{arch}.pooling_type"), ""),
        metadata={**facts, **{key: size for key, size in header.lengths.items() if key not in facts}},
    )


def _label(tensors: tuple[Tensor, ...], facts: dict[str, object]) -> str:
    """`Q4_K_M` where the file says so and its commonest type agrees, else the commonest type."""
    common = commonest(tensors)
    mix = MIXES.get(count(facts, "general.file_type"), "")
    return mix if mix.startswith(common) and common else common
