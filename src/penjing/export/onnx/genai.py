"""`genai_config.json` and the tokenizer's files: what ONNX Runtime GenAI wants beside the graph.

Source: onnxruntime-genai 0.18, `models/builders/base.py` (`make_genai_config`) and its documentation of the file.

Does not know: graphs.
"""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from penjing.export.decoder.shape import Shape
from penjing.export.gguf.config import Config
from penjing.export.manner import Manner
from penjing.export.onnx import names
from penjing.probe.checkpoint import chat_template, load_json

CONFIG = "genai_config.json"
KINDS = {
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3_text",
    "Gemma3ForConditionalGeneration": "gemma3_text",
}
"""GenAI's names; `llama` is every other decoder with these inputs."""
TOKENIZER = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab.json", "merges.txt",
)  # fmt: skip
SAMPLING = {"do_sample": False, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.0}


def write(
    checkpoint: Path, folder: Path, graph: str, shape: Shape, config: Config, manner: Manner, context: int
) -> None:
    """`genai_config.json` for the file `graph` and the tokenizer of `checkpoint`, into `folder`; `context` tokens."""
    made = {
        "model": {
            **_tokens(checkpoint, config, manner),
            "context_length": context,
            "decoder": _decoder(graph, shape),
            "type": KINDS.get(shape.architecture, "llama"),
            "vocab_size": config.whole("vocab_size"),
        },
        "search": {
            **_sampling(checkpoint),
            "max_length": context,
            "min_length": 0,
            "num_beams": 1,
            "num_return_sequences": 1,
            "past_present_share_buffer": False,
        },
    }
    (folder / CONFIG).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in TOKENIZER):
            shutil.copyfile(path, folder / path.name)
    template = chat_template(checkpoint)
    if template and not (folder / "chat_template.jinja").exists():
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def _decoder(graph: str, shape: Shape) -> dict[str, Any]:
    """The graph's file, its sizes, and what its inputs and outputs are called."""
    return {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "filename": graph,
        "head_size": shape.head,
        "hidden_size": shape.width,
        "inputs": {
            "input_ids": names.IDS,
            "position_ids": names.POSITIONS,
            "past_key_names": names.past("%d", "key"),
            "past_value_names": names.past("%d", "value"),
        },
        "outputs": {
            "logits": names.LOGITS,
            "present_key_names": names.present("%d", "key"),
            "present_value_names": names.present("%d", "value"),
        },
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
    }


def _tokens(checkpoint: Path, config: Config, manner: Manner) -> dict[str, Any]:
    """The ids that begin, end and fill up."""
    ends = list(manner.end_tokens) or [0]
    first = _token(checkpoint, config, "bos_token_id")
    fill = _token(checkpoint, config, "pad_token_id")
    return {
        "bos_token_id": ends[0] if first is None else first,
        "eos_token_id": ends if len(ends) > 1 else ends[0],
        "pad_token_id": ends[0] if fill is None else fill,
    }


def _page(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / "generation_config.json"
    return load_json(path) if path.is_file() else {}


def _token(checkpoint: Path, config: Config, name: str) -> int | None:
    for said in (_page(checkpoint).get(name), config.values.get(name)):
        if isinstance(said, int) and not isinstance(said, bool):
            return said
    return None


def _sampling(checkpoint: Path) -> dict[str, Any]:
    """The maker's sampling where it is said."""
    page = _page(checkpoint)
    return {name: page[name] if page.get(name) is not None else usual for name, usual in SAMPLING.items()}
