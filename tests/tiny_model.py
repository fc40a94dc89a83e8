"""A real, very small llama GGUF with random weights, for tests that need an engine but no meaning in its answers.

Byte-level BPE of 256 byte tokens and the ChatML marks, ChatML template, any shape. Never committed: written by a
fixture into a temporary folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@dataclass(frozen=True)
class Shape:
    """The numbers of a tiny model. Widths are multiples of 32 (Q8_0's block). Of its `experts` two are used; none: the
    feed-forward part is one."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 128
    context: int = 512
    seed: int = 0
    experts: int = 0

    @property
    def head(self) -> int:
        return self.width // self.heads


def byte_letters() -> list[str]:
    """The letter byte-level BPE writes for each byte value (GPT-2's table)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in kept}
    for offset, byte in enumerate(byte for byte in range(256) if byte not in letters):
        letters[byte] = chr(256 + offset)
    return [letters[byte] for byte in range(256)]


def write_tiny_gguf(path: Path, shape: Shape | None = None, *, pooling: int | None = None) -> Path:
    """Write a llama GGUF of `shape` in f32 with random weights; returns `path`. One that ranks is a Qwen3 with the head
    of Qwen3-Reranker: of the architectures with such a head it is the nearest."""
    shape, ranks = shape or Shape(), pooling == gguf.PoolingType.RANK
    writer = gguf.GGUFWriter(path, "qwen3" if ranks else "llama")
    writer.add_name("tiny")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(2)
    if pooling is not None:
        writer.add_pooling_type(gguf.PoolingType(pooling))
    if ranks:
        writer.add_classifier_output_labels(["yes", "no"])
    _add_tokenizer(writer)
    for name, value in [*_tensors(shape, 256 + len(MARKS)), *(_ranking(shape) if ranks else ())]:
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens = byte_letters() + MARKS
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(MARKS))
    writer.add_token_merges(["h e"])  # a tokenizer without merges is refused
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(258)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def _tensors(shape: Shape, vocabulary: int) -> list[tuple[str, np.ndarray]]:
    random = np.random.default_rng(shape.seed)

    def weights(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)

    def ones() -> np.ndarray:
        return np.ones(shape.width, np.float32)

    tensors = [("token_embd.weight", weights(vocabulary, shape.width)), ("output_norm.weight", ones())]
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        tensors += [
            (block + "attn_norm.weight", ones()),
            (block + "attn_q.weight", weights(shape.heads * shape.head, shape.width)),
            (block + "attn_k.weight", weights(shape.kv_heads * shape.head, shape.width)),
            (block + "attn_v.weight", weights(shape.kv_heads * shape.head, shape.width)),
            (block + "attn_output.weight", weights(shape.width, shape.heads * shape.head)),
            (block + "ffn_norm.weight", ones()),
        ]
        sizes = {"gate": (shape.feed_forward, shape.width), "up": (shape.feed_forward, shape.width)}
        for part, size in {**sizes, "down": (shape.width, shape.feed_forward)}.items():
            if shape.experts:
                each = np.stack([weights(*size) for _ in range(shape.experts)])
                tensors.append((block + f"ffn_{part}_exps.weight", each))
            else:
                tensors.append((block + f"ffn_{part}.weight", weights(*size)))
        if shape.experts:
            tensors.append((block + "ffn_gate_inp.weight", weights(shape.experts, shape.width)))
    return tensors


def _ranking(shape: Shape) -> list[tuple[str, np.ndarray]]:
    """What a model that ranks has more."""
    norms = [f"blk.{layer}.attn_{part}_norm.weight" for layer in range(shape.layers) for part in "qk"]
    head = np.random.default_rng(shape.seed).standard_normal((2, shape.width), dtype=np.float32)
    return [("cls.output.weight", head), *((name, np.ones(shape.head, np.float32)) for name in norms)]


def split_gguf(path: Path, folder: Path, count: int) -> None:
    """As gguf-split does: metadata in the first shard, tensors over all of them."""
    reader = gguf.GGUFReader(path)
    tensors = reader.tensors
    for number in range(count):
        name = folder / f"{path.stem}-{number + 1:05}-of-{count:05}.gguf"
        writer = gguf.GGUFWriter(name, "llama")
        if number == 0:
            for key, field in reader.fields.items():
                if key.startswith("GGUF.") or key == "general.architecture":
                    continue
                kind = field.types[0]
                inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(key, field.contents(), kind, inner)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", len(tensors))
        for tensor in tensors[number::count]:
            writer.add_tensor(tensor.name, tensor.data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
