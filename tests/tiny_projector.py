"""A projector of almost no size, in the true format: random weights in LLaVA's shape (a CLIP encoder, two layers
behind it), so that a model of a given width sees.

Keys and tensors: llama.cpp tools/mtmd/clip-impl.h; gguf-py's constants of the same.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import gguf
import numpy as np

SIZE, PATCH, WIDTH, WIDE, HEADS, LAYERS = 28, 14, 16, 32, 2, 1


def write(path: Path, width: int) -> Path:
    """For a model whose embeddings have `width` numbers: 28 x 28 pixels become 4 of them."""
    writer, dice = gguf.GGUFWriter(path, "clip"), np.random.default_rng(7)
    writer.add_type("mmproj")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_projection_dim(width)
    writer.add_vision_image_size(SIZE)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_embedding_length(WIDTH)
    writer.add_vision_feed_forward_length(WIDE)
    writer.add_vision_block_count(LAYERS)
    writer.add_vision_head_count(HEADS)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    writer.add_vision_use_gelu(True)
    patches = (SIZE // PATCH) ** 2
    shapes: dict[str, tuple[int, ...]] = {
        "v.class_embd": (WIDTH,),
        "v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH),
        "v.position_embd.weight": (patches + 1, WIDTH),
        "v.pre_ln.weight": (WIDTH,),
        "v.pre_ln.bias": (WIDTH,),
        "mm.0.weight": (width, WIDTH),
        "mm.0.bias": (width,),
        "mm.2.weight": (width, width),
        "mm.2.bias": (width,),
    }
    for layer in range(LAYERS):
        parts = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (WIDTH, WIDTH))
        for name, shape in {**parts, "ffn_up": (WIDE, WIDTH), "ffn_down": (WIDTH, WIDE)}.items():
            shapes |= {f"v.blk.{layer}.{name}.weight": shape, f"v.blk.{layer}.{name}.bias": shape[:1]}
        for name in ("ln1", "ln2"):
            shapes |= {f"v.blk.{layer}.{name}.weight": (WIDTH,), f"v.blk.{layer}.{name}.bias": (WIDTH,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, dice.standard_normal(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def picture(red: int, green: int, blue: int, side: int = SIZE) -> bytes:
    """A PNG of one colour (https://www.w3.org/TR/png-3/)."""
    rows = (b"\0" + bytes((red, green, blue)) * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    coded = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(coded)
