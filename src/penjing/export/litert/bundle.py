"""A `.litertlm` bundle: the `.tflite`, the tokenizer and how the model is talked to, in the one file that LiteRT-LM
loads (its Kotlin, Swift, C++ and Python interfaces, and the AI Edge Gallery).

Fields: google-ai-edge/LiteRT-LM, runtime/proto/llm_metadata.proto.

Does not know: what is in the `.tflite`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from penjing.export import manner
from penjing.probe.checkpoint import chat_template, load_json

TOKENIZERS = ("tokenizer.json", "tokenizer.model")
"""What LiteRT-LM reads: the tokenizers library's format and SentencePiece's, the first that is there."""
TYPES = {"qwen2": "qwen2p5", "qwen3": "qwen3", "gemma3": "gemma3", "gemma3_text": "gemma3"}
"""`model_type` in config.json to LiteRT-LM's name of a way to talk; the others are talked to in the generic way."""

PLAIN = """{%- set plain = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- set words = namespace(text='') -%}
{%- if message.content is string -%}{%- set words.text = message.content -%}
{%- elif message.content -%}
{%- for part in message.content -%}
{%- if part.type == 'text' -%}{%- set words.text = words.text + part.text -%}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- set plain.messages = plain.messages + [dict(message, content=words.text)] -%}
{%- endfor -%}
{%- set messages = plain.messages %}"""
"""Before a chat template: LiteRT-LM's interfaces hand over every text as a list of parts, for which most templates of
text models write nothing at all."""


def tokenizer(checkpoint: Path) -> Path | None:
    """The tokenizer that a bundle takes; None where the checkpoint has none of those."""
    return next((checkpoint / name for name in TOKENIZERS if (checkpoint / name).is_file()), None)


def write(tflite: Path, checkpoint: Path, output: Path, *, name: str, context: int) -> None:
    """Write the bundle of `tflite` to `output`. `context`: the tokens of its cache. Raises ModelError, OSError."""
    from litert_lm_builder import litertlm_builder as builder

    made = builder.LitertLmFileBuilder()
    made.add_system_metadata(builder.Metadata(key="Authors", value="penjing", dtype=builder.DType.STRING))
    made.add_system_metadata(builder.Metadata(key="Model", value=name, dtype=builder.DType.STRING))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "metadata.pb"
        page.write_bytes(metadata(checkpoint, context).SerializeToString())
        made.add_llm_metadata(str(page))
        made.add_tflite_model(str(tflite), builder.TfLiteModelType.PREFILL_DECODE)
        found = tokenizer(checkpoint)
        if found is not None and found.suffix == ".json":
            made.add_hf_tokenizer(str(found))
        elif found is not None:
            made.add_sentencepiece_tokenizer(str(found))
        with output.open("xb") as stream:
            made.build(stream)


def metadata(checkpoint: Path, context: int) -> Any:
    """The model's `LlmMetadata`. Raises ModelError."""
    from litert_lm_builder.runtime.proto import llm_metadata_pb2, llm_model_type_pb2

    template = chat_template(checkpoint)
    found = manner.read(checkpoint)
    made = llm_metadata_pb2.LlmMetadata(
        max_num_tokens=context,
        supports_thinking="enable_thinking" in template,
        supports_function_calling="tools" in template,
    )
    for token in found.end_tokens:
        made.stop_tokens.add().token_ids.ids.append(token)
    first = beginning(checkpoint, found.before)
    if first is not None:
        made.start_token.token_ids.ids.append(first)
    if template:
        made.jinja_prompt_template = PLAIN + template
    if "<think>" in template:
        made.channels.add(channel_name="thought", start="<think>", end="</think>")
    kind = TYPES.get(str(load_json(checkpoint / "config.json").get("model_type")), "generic_model")
    getattr(made.llm_model_type, kind).SetInParent()
    if not made.llm_model_type.WhichOneof("model_type"):
        made.llm_model_type.CopyFrom(llm_model_type_pb2.LlmModelType(generic_model=llm_model_type_pb2.GenericModel()))
    return made


def beginning(checkpoint: Path, before: str) -> int | None:
    """The token that every text begins with: the one that the chat template writes first, or that the tokenizer puts
    before any text; LiteRT-LM adds it itself. None where there is no such token."""
    path = checkpoint / "tokenizer.json"
    if not path.is_file():
        said = load_json(checkpoint / "config.json").get("bos_token_id")
        return said if isinstance(said, int) else None
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(path))
    settings = (
        load_json(checkpoint / "tokenizer_config.json") if (checkpoint / "tokenizer_config.json").is_file() else {}
    )
    said = settings.get("bos_token")
    text = said.get("content") if isinstance(said, dict) else said
    bos: int | None = words.token_to_id(text) if isinstance(text, str) else None
    added = words.encode("x").ids[:1] == [bos]
    return bos if added or before.startswith(str(text)) else None
