"""How a byte-level BPE tokenizer splits text before merging, and what llama.cpp calls that.

llama.cpp knows pre-tokenizers by name (`tokenizer.ggml.pre`) and has each one's regular expressions compiled in
(src/llama-vocab.cpp, `llm_tokenizer_bpe`, which also quotes the originals from tokenizer.json). Here the rule that
tokenizer.json spells out is looked up in a table; one that is not in it has no name, and is refused. A test compares
every name with the engine's ids; `gpt-4o` and `tekken` differ there for capitals beyond A-Z within a word and for
combining marks, in llama.cpp itself.

Does not know: vocabularies, merges.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penjing.export.gguf.faults import UnknownPreTokenizer

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPELLED_OUT = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"  # the same without a case flag
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
START = r"[^\r\n\p{L}\p{N}]?"
SPACES = r"\s+(?!\S)|\s+"
LINES = r"|\s*[\r\n]+|"
LLAMA3 = CONTRACTIONS + "|" + START + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + LINES + SPACES
QWEN2 = CONTRACTIONS + "|" + START + r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + LINES + SPACES
QWEN35 = CONTRACTIONS + "|" + START + r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + LINES + SPACES
GPT4O = (
    f"{START}{UPPER}*{LOWER}+{CONTRACTIONS}?|{START}{UPPER}+{LOWER}*{CONTRACTIONS}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + LINES + SPACES
)
TEKKEN = f"{START}{UPPER}*{LOWER}+|{START}{UPPER}+{LOWER}*" + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + LINES + SPACES
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*" + LINES + SPACES
)
SEED = CONTRACTIONS + "|" + START + r"\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}" + "\r\n" + r"]+|\s*[" + "\r\n]+|" + SPACES

Rule = tuple[str, ...]
GPT2: Rule = ("gpt2",)

# (rule, whether whole words found in the vocabulary skip the merges) to llama.cpp's names for it. Where several names
# mean the same rule, the first is used unless the family goes by another.
NAMES: dict[tuple[Rule, bool], tuple[str, ...]] = {
    (GPT2, False): ("gpt-2", "phi-2", "mpt", "olmo"),
    (("digits", *GPT2), False): ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"),
    ((LLAMA3,), True): ("llama-bpe", "falcon3", "pixtral"),
    ((LLAMA3,), False): ("smaug-bpe", "dbrx", "glm4", "chatglm-bpe"),
    ((QWEN2,), False): ("qwen2", "stablelm2", "hunyuan", "megrez"),
    ((QWEN35,), False): ("qwen35",),
    ((GPT4O,), False): ("gpt-4o", "llama4"),
    ((TEKKEN,), True): ("tekken",),
    ((r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3), False): ("deepseek-v3", "hunyuan-dense"),
    ((SEED,), False): ("seed-coder",),
}
KNOWN = ", ".join(sorted({names[0] for names in NAMES.values()} | {"glm4", "chatglm-bpe"}))


def name(tokenizer: dict[str, Any], preferred: str, path: Path) -> str:
    """llama.cpp's name for the pre-tokenizer of a parsed tokenizer.json. Raises UnknownPreTokenizer."""
    steps = _steps(tokenizer.get("pre_tokenizer"))
    model = tokenizer.get("model")
    whole_words = bool(model.get("ignore_merges", False)) if isinstance(model, dict) else False
    names = NAMES.get((steps, whole_words))
    if not names:
        words = ", ignore_merges" if whole_words else ""
        raise UnknownPreTokenizer(path=str(path), rule=" then ".join(steps) + words or "nothing", nearest=KNOWN)
    return preferred if preferred in names else names[0]


def _steps(node: object) -> Rule:
    """The rule as a tuple: each regular expression in one spelling, `digits`, `gpt2` for ByteLevel's own, and what is
    not understood in its JSON spelling (so that it matches nothing)."""
    if not isinstance(node, dict):
        return (repr(node),)
    kind = node.get("type")
    children = node.get("pretokenizers")
    if kind == "Sequence" and isinstance(children, list):
        return tuple(step for child in children for step in _steps(child))
    if kind == "ByteLevel" and not node.get("add_prefix_space", True):
        return GPT2 if node.get("use_regex", True) else ()
    if kind == "Digits" and node.get("individual_digits"):
        return ("digits",)
    pattern = _pattern(node) if kind == "Split" else None
    return (pattern,) if pattern else (repr(node),)


def _pattern(node: dict[str, Any]) -> str | None:
    """The expression of a Split that keeps every piece: isolated matches, or (where the expression matches everything)
    what is left when the gaps between matches are removed."""
    found = node.get("pattern")
    pattern = found.get("Regex") if isinstance(found, dict) else None
    if not isinstance(pattern, str):
        return None
    isolated = node.get("behavior") == "Isolated" and not node.get("invert", False)
    gaps_removed = node.get("behavior") == "Removed" and node.get("invert", False) and pattern.endswith(SPACES)
    pattern = pattern.replace(SPELLED_OUT, CONTRACTIONS)
    return pattern if isolated or gaps_removed else None
