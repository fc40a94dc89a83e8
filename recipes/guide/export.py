"""Write a trained checkpoint as a Hugging Face folder (bf16 safetensors) and as GGUF (Q8_0), ready for an engine.

Both forms hold the same bf16-rounded weights. Knows nothing of training or of scores.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from recipes.guide.model import Shape
from recipes.guide.tokenizer import CONTROL, END_OF_TEXT, END_OF_TURN, PRE, VISIBLE

GGUF, WEIGHTS = "guide.gguf", "model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
Array = NDArray[np.float32]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The checkpoint's parameters rounded to bf16, under their Hugging Face names."""
    state = torch.load(checkpoint, weights_only=True)["model"]
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in state.items()}


def shape_of(state: dict[str, torch.Tensor], context: int = Shape.context) -> Shape:
    """Read the network's sizes back from its parameters."""
    vocab, hidden = state["model.embed_tokens.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("model.layers."))
    ffn = state["model.layers.0.mlp.gate_proj.weight"].shape[0]
    head_dim = Shape.hidden // Shape.heads
    kv_heads = state["model.layers.0.self_attn.k_proj.weight"].shape[0] // head_dim
    return Shape(vocab, hidden, ffn, layers, hidden // head_dim, kv_heads, context)


def huggingface(state: dict[str, torch.Tensor], tokenizer: Path, folder: Path) -> None:
    """Write the folder that `transformers` and `penjing` read."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, str(folder / WEIGHTS), metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # it is written for its owner alone
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, folder / name)
    ids = added(json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8")))
    config = shape_of(state).huggingface(bos=ids[END_OF_TEXT], eos=ids[END_OF_TURN], pad=ids[END_OF_TEXT])
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def added(tokenizer: dict[str, Any]) -> dict[str, int]:
    """Ids of the added tokens by their text."""
    return {token["content"]: token["id"] for token in tokenizer["added_tokens"]}


def permute(weight: Array, heads: int) -> Array:
    """Query and key rows in the order of llama.cpp's `llama`: rotary pairs side by side, not half a head apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(state: dict[str, torch.Tensor], shape: Shape) -> dict[str, Array]:
    """Every tensor under its GGUF name, in float32."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.layers)
    out: dict[str, Array] = {}
    for name, tensor in state.items():
        array = tensor.float().numpy()
        if ".q_proj." in name:
            array = permute(array, shape.heads)
        elif ".k_proj." in name:
            array = permute(array, shape.kv_heads)
        out[str(names.get_name(name, try_suffixes=(".weight",)))] = array
    return out


def write_gguf(state: dict[str, torch.Tensor], tokenizer: Path, path: Path, description: str) -> None:
    """Write one GGUF file: matrices in Q8_0, norms in float32."""
    shape = shape_of(state)
    temporary = path.with_suffix(".part")
    writer = gguf.GGUFWriter(str(temporary), "llama")
    _describe(writer, shape, description, sum(t.numel() for t in state.values()))
    _vocabulary(writer, tokenizer)
    for name, array in tensors(state, shape).items():
        kind = gguf.GGMLQuantizationType.Q8_0 if array.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    temporary.replace(path)


def _describe(writer: gguf.GGUFWriter, shape: Shape, description: str, parameters: int) -> None:
    writer.add_name("penjing guide")
    writer.add_basename("guide")
    writer.add_organization("penjing")
    writer.add_description(description)
    writer.add_license("apache-2.0")
    writer.add_languages(["en", "zh"])
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_sampling_temp(0.0)  # greedy, as generation_config.json says; llama.cpp takes it as the default
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab)


def _vocabulary(writer: gguf.GGUFWriter, tokenizer: Path) -> None:
    content = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    ids = added(content)
    every = {**content["model"]["vocab"], **ids}
    tokens = sorted(every, key=every.__getitem__)
    kinds = {**dict.fromkeys(CONTROL, gguf.TokenType.CONTROL), **dict.fromkeys(VISIBLE, gguf.TokenType.USER_DEFINED)}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE)
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in content["model"]["merges"]])
    # Without an explicit one, llama.cpp takes id 11 for the beginning of text.
    writer.add_bos_token_id(ids[END_OF_TEXT])
    writer.add_eos_token_id(ids[END_OF_TURN])
    writer.add_eot_token_id(ids[END_OF_TURN])
    writer.add_pad_token_id(ids[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template((tokenizer / "chat_template.jinja").read_text(encoding="utf-8"))


def export(checkpoint: Path, tokenizer: Path, folder: Path, description: str) -> None:
    """Both forms of one checkpoint in one folder."""
    state = weights(checkpoint)
    huggingface(state, tokenizer, folder)
    write_gguf(state, tokenizer, folder / GGUF, description)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("build/guide/run/final.pt"))
    parser.add_argument("--tokenizer", type=Path, default=Path("build/guide/tokenizer"))
    parser.add_argument("--output", type=Path, default=Path("src/penjing/data/guide"))
    parser.add_argument(
        "--description", default="The small built-in guide of penjing: answers about penjing and small models."
    )
    options = parser.parse_args()
    export(options.checkpoint, options.tokenizer, options.output, options.description)
    print(f"{options.checkpoint} -> {options.output}")


if __name__ == "__main__":
    main()
