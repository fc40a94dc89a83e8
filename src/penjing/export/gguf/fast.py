"""`tokenizer.json`: the form of the `tokenizers` library, as byte-level BPE or as a SentencePiece model in disguise.

Does not know: tokenizer_config.json, tokenizer.model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penjing.export.gguf import pretokenizer
from penjing.export.gguf.faults import MergesUnclear, TokenizerDamaged, TokenizerUnsupported
from penjing.export.gguf.vocabulary import BYTE, NORMAL, SPACE, UNKNOWN, Added, Vocabulary, fill
from penjing.shrink.container import Value

LARGEST_ID = 1 << 22
HARMLESS_NORMALIZERS = {"NFC"}  # llama.cpp takes text as it comes, which nearly always is NFC


def added(tokenizer: dict[str, Any], path: Path) -> list[Added]:
    """The added tokens of a parsed tokenizer.json. Raises TokenizerDamaged."""
    found = []
    for entry in tokenizer.get("added_tokens") or []:
        number, content = entry.get("id"), entry.get("content")
        if not isinstance(number, int) or not 0 <= number < LARGEST_ID or not isinstance(content, str):
            raise TokenizerDamaged(path=str(path), word="an added token has no id or no text", value=repr(entry)[:80])
        found.append(Added(number, content, bool(entry.get("special"))))
    return found


def read(tokenizer: dict[str, Any], preferred: str, path: Path) -> Vocabulary:
    """The trained vocabulary of a parsed tokenizer.json, without its added tokens. `preferred` is the family's name
    for its pre-tokenizer. Raises TokenizerUnsupported, TokenizerDamaged, UnknownPreTokenizer."""
    model = tokenizer.get("model")
    kind = model.get("type", "BPE") if isinstance(model, dict) else None
    if not isinstance(model, dict) or kind != "BPE":
        raise TokenizerUnsupported(path=str(path), word="the model", value=kind, wanted="BPE")
    for part in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(part):
            raise TokenizerUnsupported(path=str(path), word=part, value=model[part], wanted="none")
    tokens, types = _tokens(model, path)
    merges = list(_merges(model, path))
    if model.get("byte_fallback"):
        return _sentencepiece(tokenizer, tokens, types, merges, path)
    _normalizers(tokenizer.get("normalizer"), path)
    name = pretokenizer.name(tokenizer, preferred, path)
    return Vocabulary("gpt2", name, tokens, types, merges=[f"{left} {right}" for left, right in merges])


def _tokens(model: dict[str, Any], path: Path) -> tuple[list[str], list[int]]:
    vocabulary = model.get("vocab")
    numbers = set(vocabulary.values()) if isinstance(vocabulary, dict) else set()
    whole = all(isinstance(number, int) and 0 <= number < LARGEST_ID for number in numbers)
    if not isinstance(vocabulary, dict) or not vocabulary or not whole or len(numbers) < len(vocabulary):
        raise TokenizerDamaged(
            path=str(path), word="model.vocab is no table of tokens and ids", value=type(vocabulary).__name__
        )
    tokens: list[str] = []
    types: list[int] = []
    fill(tokens, types, [], max(numbers) + 1, scored=False)
    for token, number in vocabulary.items():
        tokens[number], types[number] = token, NORMAL
    return tokens, types


def _merges(model: dict[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    """Merges in order; they are `"a b"` in older files and `["a", "b"]` in newer ones."""
    for entry in model.get("merges") or []:
        pair = entry.split(" ", 1) if isinstance(entry, str) else entry
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(half, str) for half in pair):
            raise TokenizerDamaged(path=str(path), word="a merge is no pair of texts", value=repr(entry)[:80])
        yield pair[0], pair[1]


def _normalizers(node: object, path: Path) -> None:
    children = node.get("normalizers", [node]) if isinstance(node, dict) else []
    for child in children:
        kind = child.get("type") if isinstance(child, dict) else child
        if kind not in HARMLESS_NORMALIZERS:
            raise TokenizerUnsupported(path=str(path), word="the normalizer", value=kind, wanted="NFC or none")


def _sentencepiece(
    tokenizer: dict[str, Any], tokens: list[str], types: list[int], merges: list[tuple[str, str]], path: Path
) -> Vocabulary:
    """A SentencePiece BPE from its merges. llama.cpp merges by score and takes any two neighbours whose text is a
    token; that is the same only where every such pair is among the merges, in one run a token."""
    unknown = tokenizer["model"].get("unk_token")
    for number, token in enumerate(tokens):
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            types[number] = BYTE
        elif token == unknown:
            types[number] = UNKNOWN
    outside = {entry.content for entry in added(tokenizer, path)}
    trained = [token for token, kind in zip(tokens, types, strict=True) if kind == NORMAL and token not in outside]
    rank = _ranks(merges, path)
    _every_pair(trained, set(tokens), set(merges), path)
    scores = [-float(rank.get(token, len(merges) + number)) for number, token in enumerate(tokens)]
    settings: dict[str, Value] = {"add_space_prefix": _prefix(tokenizer, path)}
    return Vocabulary("llama", "default", tokens, types, scores, settings=settings)


def _ranks(merges: list[tuple[str, str]], path: Path) -> dict[str, int]:
    """When each token is first merged. Raises MergesUnclear where its merges are not in one run."""
    rank: dict[str, int] = {}
    last = ""
    for number, (left, right) in enumerate(merges):
        token = left + right
        if token != last and token in rank:
            raise MergesUnclear(path=str(path), pair=repr((left, right)))
        rank.setdefault(token, number)
        last = token
    return rank


def _every_pair(trained: list[str], known: set[str], pairs: set[tuple[str, str]], path: Path) -> None:
    for token in trained:
        for cut in range(1, len(token)):
            pair = (token[:cut], token[cut:])
            if pair not in pairs and pair[0] in known and pair[1] in known:
                raise MergesUnclear(path=str(path), pair=repr(pair))


def _prefix(tokenizer: dict[str, Any], path: Path) -> bool:
    """Whether a space is put before the text. Raises TokenizerUnsupported for steps that llama.cpp does not have."""
    before = False
    for step in (
        *_flat(tokenizer.get("normalizer"), "normalizers"),
        *_flat(tokenizer.get("pre_tokenizer"), "pretokenizers"),
    ):
        kind = step.get("type")
        if kind == "Prepend" and step.get("prepend") == SPACE:
            before = True
        elif kind == "Metaspace" and step.get("replacement") == SPACE and not step.get("split", True):
            before = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never") != "never"
        elif kind == "Replace" and step.get("pattern") == {"String": " "} and step.get("content") == SPACE:
            continue
        elif kind == "Split" and step.get("pattern") == {"String": " "}:
            continue  # Gemma's: the normalizer has left no space to split at
        else:
            raise TokenizerUnsupported(path=str(path), word="a step", value=kind, wanted="SentencePiece's spaces")
    return before


def _flat(node: object, children: str) -> list[dict[str, Any]]:
    if not isinstance(node, dict):
        return []
    inner = node.get(children)
    return [step for child in inner for step in _flat(child, children)] if isinstance(inner, list) else [node]
