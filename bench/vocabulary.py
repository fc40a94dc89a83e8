"""What Chinese costs before and after a vocabulary grew: tokens a character of text that was not learned from, on three
tokenizers, and what it does to a model.

    python bench/vocabulary.py [--train 200] [--write]

English is `second_text`'s (the tokenizers that know only English are trained on it), Chinese its Chinese. The guide,
which knows Chinese, is the hard case, and the one with a model. `--train` needs torch.

Does not know: how a vocabulary grows.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import page
import second_text
from penjing.export.gguf.convert import convert
from penjing.shrink.texts.text import Document, Text
from penjing.shrink.vocabulary import embeddings, opening
from penjing.shrink.vocabulary.grow import Rate, divided, grow, rate, unchanged
from penjing.shrink.vocabulary.learn import learn, runs
from penjing.shrink.vocabulary.letters import Letters
from penjing.shrink.vocabulary.loss import Loss, compare
from penjing.shrink.vocabulary.page import Page
from penjing.shrink.vocabulary.sentence import SentenceBpe

GUIDE = page.ROOT / "src/penjing/data/guide"
CHINESE = Letters(frozenset({"CJK"}))
SIZES = (1000, 4000)
OLD_SIZE = 4000
GOAL = 0.6
SHARE = 0.2
"""A document is Chinese where so much of it is."""
HEADS = {
    "en": ("tokenizer", "tokens added", "tokens a character before", "after", "ratio", "English tokens compared"),
    "zh": ("分词器", "增加词元", "此前每字词元", "现在", "比值", "比对的英文词元"),
}
MODEL_HEADS = {
    "en": ("guide, 1000 tokens added", "new text before", "after", "old text before", "after"),
    "zh": ("guide，增加 1000 个词元", "新文本 此前", "现在", "原有文本 此前", "现在"),
}
ROWS = {
    "en": {
        "guide": "guide (4096, knows Chinese)",
        "bytes": "byte-level BPE (4000, English only)",
        "sentence": "SentencePiece BPE (4000, English only)",
        "means": "rows are means",
        "trained": "rows trained, {steps} steps",
    },
    "zh": {
        "guide": "guide（4096，已懂中文）",
        "bytes": "字节级 BPE（4000，只懂英文）",
        "sentence": "SentencePiece BPE（4000，只懂英文）",
        "means": "各行取平均值",
        "trained": "各行训练 {steps} 步",
    },
}
HEADINGS = {
    "en": "Chinese messages of Debian's programs, {characters} characters, of which one "
    "document in ten was held out and counted; English text (Python's documentation) without Chinese letters was "
    "encoded identically by every grown tokenizer. Goal: at most {goal} times the tokens, for tokenizers that do not "
    "know the language. `bench/vocabulary.py`, {date}.",
    "zh": "Debian 程序的中文消息，共 {characters} 字，其中十分之一的文档留出并计数；"
    "不含汉字的英文文本（Python 文档）在所有扩充后的分词器下编码完全相同。目标：对不懂该语言的分词器，"
    "词元数不超过此前的 {goal} 倍。`bench/vocabulary.py`，{date}。",
}
LOSSES = {"en": "Loss in nats a character, on llama.cpp (F16):", "zh": "损失（奈特/字符），由 llama.cpp 计算（F16）："}


@dataclass(frozen=True)
class Row:
    name: str
    added: int
    new: Rate
    old: Rate


def english_only(texts: list[str], folder: Path) -> Page:
    """A byte-level BPE like GPT-2's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=OLD_SIZE, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / opening.NAME))
    return opening.read(folder)


def sentence_only(texts: list[str]) -> Page:
    """A SentencePiece BPE like Llama 2's, as transformers spells it in tokenizer.json."""
    import sentencepiece
    from tokenizers import Tokenizer, models, normalizers

    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts for line in text.split("\n") if line.strip()),
        model_writer=content,
        vocab_size=OLD_SIZE,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_proto=content.getvalue())
    pieces = {model.id_to_piece(number): number for number in range(model.get_piece_size())}
    cuts = [(p, p[:at], p[at:]) for p in pieces for at in range(1, len(p)) if p[:at] in pieces and p[at:] in pieces]
    cuts.sort(key=lambda cut: -model.get_score(pieces[cut[0]]))
    merges = [(left, right) for _, left, right in cuts]
    tokenizer = Tokenizer(models.BPE(pieces, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return SentenceBpe(json.loads(tokenizer.to_str()))


def measured(name: str, old: Page, chinese: list[str], english: list[str]) -> list[Row]:
    """A row for each size."""
    learned_from, held = divided(chinese)
    found = runs(old, learned_from, CHINESE)
    rows = []
    for size in SIZES:
        learned = learn(old, found, CHINESE, size)
        new = type(old)(old.grown(learned.pieces, learned.uses))
        added = len(old.numbered(learned.pieces))
        rows.append(Row(name, added, rate(old, new, held), unchanged(old, new, english, CHINESE, Path(name))))
    return rows


def lost(chinese: list[str], steps: int, place: Path) -> dict[str, dict[str, Loss]]:
    """What 1000 tokens more do to the guide, with rows that are means, and after training them."""
    text = Text("chinese", tuple(map(Document, chinese)))
    _, held = divided(chinese)
    yardstick = [json.loads(line) for line in (GUIDE / "yardstick.jsonl").read_text(encoding="utf-8").splitlines()]
    old = [m["messages"][-1]["content"] for m in yardstick if m["lang"] == "en"]
    judged = {"new": held, "old": list(dict.fromkeys(old))}
    convert(GUIDE, place / "old.gguf")
    grow(GUIDE, [text], place / "means", 1000)
    convert(place / "means", place / "means.gguf")
    found = {"means": compare(place / "old.gguf", place / "means.gguf", judged)}
    if steps:
        embeddings.grow_and_train(GUIDE, [text], place / "trained", 1000, steps)
        convert(place / "trained", place / "trained.gguf")
        found["trained"] = compare(place / "old.gguf", place / "trained.gguf", judged)
    return found


def table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [list(heads), *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])


def told(rows: list[Row], losses: dict[str, dict[str, Loss]], steps: int, facts: dict[str, Any], language: str) -> str:
    say = ROWS[language]
    cells = []
    for row in rows:
        before, after = (count / row.new.characters for count in (row.new.before, row.new.after))
        figures = [f"{row.added}", f"{before:.3f}", f"{after:.3f}", f"{row.new.ratio:.2f}", f"{row.old.before:,}"]
        cells.append([say[row.name], *figures])
    parts = [HEADINGS[language].format(**facts), table(HEADS[language], cells)]
    if losses:
        each = [
            [
                say[name].format(steps=steps),
                *(f"{value:.4f}" for part in ("new", "old") for value in (found[part].before, found[part].after)),
            ]
            for name, found in losses.items()
        ]
        parts += [LOSSES[language], table(MODEL_HEADS[language], each)]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=0, metavar="STEPS", help="train the guide's new rows, too")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    options = parser.parse_args()
    texts = second_text.documents()
    chinese = [text for text in texts if len(second_text.HAN.findall(text)) > SHARE * len(text)]
    english = [text for text in texts if not second_text.HAN.search(text)]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        rows = measured("guide", opening.read(GUIDE), chinese, english)
        rows += measured("bytes", english_only(english, place), chinese, english)
        rows += measured("sentence", sentence_only(english), chinese, english)
        losses = lost(chinese, options.train, place)
    facts = {"characters": f"{sum(map(len, chinese)):,}", "goal": GOAL, "date": date.today().isoformat()}
    pages = {language: told(rows, losses, options.train, facts, language) for language in HEADS}
    print(pages["en"])
    if options.write:
        page.write("bench/vocabulary.py", pages, "vocabulary")


if __name__ == "__main__":
    main()
