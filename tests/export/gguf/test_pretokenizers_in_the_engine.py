"""Every name in the table against llama.cpp itself: the same ids as the `tokenizers` library for the same rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from llama_engine import running
from penjing.export.gguf import convert
from penjing.export.gguf.pretokenizer import NAMES, Rule
from penjing.probe import model as probe
from tiny_checkpoint import tensors as random_tensors
from tiny_checkpoint import write_checkpoint, write_safetensors

# swig types of the engine's binding
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SIZE = 900
PROBES = [
    "Hello, world! It's 2026 and WE'VE 12345 reasons, don't we?",
    "  two spaces,   three\n\n\nlines\tand a tab \n  ",
    "盆景让大模型在你的电脑上运行，很好！2026年11月21日",
    "emoji: 🌳🪴 👩‍🔬 and ½ Ω",
    "def f(x):\r\n    return {'a': [x ** 2 for _ in range(3)]}\n\n",
    "camelCase HTTPServer iPhone's École",
    "हिन्दी में लिखो, ภาษาไทย",
    "ÉCOLE straße",
    "こんにちはカタカナ 안녕하세요 Привет, мир!",
    "a/b//c http://example.org/?q=1&r=2#x !!! ... ---",
]

# llama.cpp writes these two rules with a-z for small letters and without combining marks.
BEYOND_ASCII = ["हिन्दी में लिखो, ภาษาไทย", "ÉCOLE straße"]
KNOWN_DIFFERENCES = {"gpt-4o": BEYOND_ASCII, "tekken": BEYOND_ASCII}
UNSPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def trained(rule: Rule, whole_words: bool) -> Tokenizer:
    """A byte-level BPE that splits by `rule`, with merges learned on unsplit text: they join whatever a wrong rule
    does not keep apart."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    tokenizer.pre_tokenizer = UNSPLIT
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=letters, show_progress=False)
    pieces = [text[at : at + length] for text in PROBES for length in (2, 3, 4, 6) for at in range(len(text) - length)]
    tokenizer.train_from_iterator(pieces, trainer)
    return split(tokenizer, rule)


def split(tokenizer: Tokenizer, rule: Rule) -> Tokenizer:
    steps = [step(part) for part in rule]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps if "gpt2" in rule else [*steps, UNSPLIT])
    return tokenizer


def step(part: str) -> pre_tokenizers.PreTokenizer:
    if part == "gpt2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if part == "digits":
        return pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Split(Regex(part), "isolated")


@pytest.mark.parametrize(("rule", "whole_words"), NAMES, ids=[names[0] for names in NAMES.values()])
def test_same_ids(tmp_path: Path, rule: Rule, whole_words: bool) -> None:
    tokenizer = trained(rule, whole_words)
    folder = write_checkpoint(tmp_path / "tiny", vocab_size=SIZE)
    write_safetensors(
        folder / "model.safetensors", random_tensors({**json.loads((folder / "config.json").read_text())})
    )
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    convert.convert(folder, tmp_path / "tiny.gguf")
    model = probe.read(tmp_path / "tiny.gguf")
    known = model.metadata["tokenizer.ggml.pre"]
    assert known == NAMES[rule, whole_words][0]
    with running(tmp_path / "tiny.gguf", SIZE) as engine:
        wrong = [text for text in PROBES if engine.tokenize(text, special=False) != tokenizer.encode(text).ids]
    assert wrong == KNOWN_DIFFERENCES.get(str(known), [])


def test_the_probes_tell_the_rules_apart() -> None:
    for rule, whole_words in NAMES:
        tokenizer = trained(rule, whole_words)
        mine = [tokenizer.encode(text).ids for text in PROBES]
        for other, _ in NAMES:
            theirs = [split(tokenizer, other).encode(text).ids for text in PROBES]
            assert (mine == theirs) == (rule == other), (rule, other)
