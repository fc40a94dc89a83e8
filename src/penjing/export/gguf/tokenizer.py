"""The tokenizer of a checkpoint folder, from whichever files it has, in GGUF's terms.

Read are tokenizer.json, tokenizer.model, added_tokens.json, tokenizer_config.json, chat_template.jinja and, for the
ids that end an answer, generation_config.json and config.json.

Does not know: tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from penjing.export.gguf import fast, sentencepiece, vocabulary
from penjing.export.gguf.config import Config
from penjing.export.gguf.families import Family
from penjing.export.gguf.faults import TokenizerMissing
from penjing.export.gguf.vocabulary import Added, Vocabulary
from penjing.probe.checkpoint import chat_template, load_json
from penjing.shrink.container import Value

ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding"}  # gguf's own spelling
# transformers sets the beginning mark of these from tokenizer_config.json, whatever tokenizer.json says.
FLAGGED = ("LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer")
SLOW_ADD_BOS = True  # transformers' default for the SentencePiece classes


def read(config: Config, family: Family, rows: int) -> dict[str, Value]:
    """The `tokenizer.` metadata for a model whose embedding has `rows` rows. Raises TokenizerMissing,
    TokenizerDamaged, TokenizerUnsupported, UnknownPreTokenizer."""
    folder = config.folder
    settings = _page(folder / "tokenizer_config.json")
    whole = _page(folder / "tokenizer.json")
    found = _trained(folder, whole, family)
    found = vocabulary.add(found, list(_added(folder, whole, settings)))
    found = vocabulary.pad(found, rows)
    vocabulary.check(found, rows, folder)
    if found.model == "llama" and isinstance(settings.get("add_prefix_space"), bool):
        found = replace(found, settings={**found.settings, "add_space_prefix": settings["add_prefix_space"]})
    marks = _marks(found, settings, config)
    found = replace(found, settings={**found.settings, **marks, **_flags(found, settings, whole, marks)})
    template = chat_template(folder)
    return found.keys() | ({"tokenizer.chat_template": template} if template else {})


def _page(path: Path) -> dict[str, Any]:
    return load_json(path) if path.is_file() else {}


def _trained(folder: Path, whole: dict[str, Any], family: Family) -> Vocabulary:
    """SentencePiece's own file wins over its translation into tokenizer.json."""
    model = whole.get("model")
    byte_level = isinstance(model, dict) and not model.get("byte_fallback") and model.get("type") == "BPE"
    original = folder / "tokenizer.model"
    if original.is_file() and not byte_level:
        return sentencepiece.read(original)
    if whole:
        return fast.read(whole, family.pre, folder / "tokenizer.json")
    raise TokenizerMissing(path=str(folder))


def _added(folder: Path, whole: dict[str, Any], settings: dict[str, Any]) -> Iterator[Added]:
    for content, number in _page(folder / "added_tokens.json").items():
        if isinstance(number, int):
            yield Added(number, content, special=False)
    yield from fast.added(whole, folder / "tokenizer.json")
    decoder = settings.get("added_tokens_decoder")
    entries = decoder.items() if isinstance(decoder, dict) and not whole else ()
    listed = [{"id": int(number), **entry} for number, entry in entries if str(number).isdigit()]
    yield from fast.added({"added_tokens": listed}, folder / "tokenizer_config.json")


def _marks(found: Vocabulary, settings: dict[str, Any], config: Config) -> dict[str, Value]:
    """The ids of the special tokens; the ends of an answer beyond the first become eot and eom."""
    ids = found.ids
    generation = _page(config.folder / "generation_config.json")
    marks: dict[str, int] = {}
    for role, key in ROLES.items():
        text = settings.get(f"{role}_token")
        text = text.get("content") if isinstance(text, dict) else text
        listed = _ids(generation.get(f"{role}_token_id")) or _ids(config.values.get(f"{role}_token_id"))
        if text in ids:
            marks[key] = ids[text]
        elif listed and listed[0] < len(found.tokens):
            marks[key] = listed[0]
    ends = _ids(generation.get("eos_token_id")) or _ids(config.values.get("eos_token_id"))
    steering = [number for number in ends if number < len(found.tokens) and found.types[number] == vocabulary.CONTROL]
    others = [number for number in steering if number != marks.get("eos")]
    marks |= dict(zip(("eot", "eom"), others, strict=False))
    return {f"{key}_token_id": number for key, number in marks.items()}


def _ids(value: object) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if isinstance(number, int) and not isinstance(number, bool) and number >= 0]


def _flags(
    found: Vocabulary, settings: dict[str, Any], whole: dict[str, Any], marks: dict[str, Value]
) -> dict[str, Value]:
    """Whether text is put between the beginning and end marks."""
    template = _template(whole.get("post_processor")) if whole else None
    named = str(settings.get("tokenizer_class", "")).removesuffix("Fast") in FLAGGED
    flags: dict[str, Value] = {}
    for role in ("bos", "eos"):
        said = settings.get(f"add_{role}_token")
        default = SLOW_ADD_BOS and role == "bos" and found.model == "llama"
        if isinstance(said, bool) and (named or not whole):
            flag = said
        elif whole:
            flag = _in_template(template, role, found, marks)
        else:
            flag = default
        flags[f"add_{role}_token"] = flag and f"{role}_token_id" in marks
    return flags


def _template(node: object) -> list[dict[str, Any]]:
    """What a post-processor puts around a single text, in order."""
    if not isinstance(node, dict):
        return []
    if isinstance(node.get("processors"), list):
        return [step for child in node["processors"] for step in _template(child)]
    single = node.get("single") if node.get("type") == "TemplateProcessing" else None
    return [step for step in single if isinstance(step, dict)] if isinstance(single, list) else []


def _in_template(steps: list[dict[str, Any]] | None, role: str, found: Vocabulary, marks: dict[str, Value]) -> bool:
    steps = steps or []
    edge = steps[0] if steps and role == "bos" else steps[-1] if steps else {}
    mark = edge.get("SpecialToken")
    return isinstance(mark, dict) and found.ids.get(str(mark.get("id"))) == marks.get(f"{role}_token_id", -1)
