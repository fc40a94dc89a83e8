"""A language is added to a checkpoint: pieces from its text, a tokenizer that has them, a row for each.

    grow(folder, texts, 4000, output) -> Grown

Old ids stay, and text without the language's letters is encoded as before; that is looked at before anything is
written. The result is an ordinary checkpoint.

Does not know: how good the model is afterwards, training.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penjing.files import require_room
from penjing.manifest import Manifest
from penjing.probe import checkpoint
from penjing.progress import Progress, Report
from penjing.shrink.lineage import Step, write
from penjing.shrink.output import require_free, whole_folder
from penjing.shrink.texts.known import HELD_OUT as USUAL
from penjing.shrink.texts.known import builtin
from penjing.shrink.texts.text import Text
from penjing.shrink.torch_model import keep
from penjing.shrink.vocabulary import opening, proto, tables
from penjing.shrink.vocabulary.faults import NoFolder, NothingToAdd, OldTextChanged, SizeImpossible, TextTooSmall
from penjing.shrink.vocabulary.learn import Learned, learn, runs
from penjing.shrink.vocabulary.letters import Letters, own
from penjing.shrink.vocabulary.page import Page

SIZE = 4000
"""Tokens that are added where nobody says how many."""
MOST = 200_000
FEWEST = 2000
"""Letters of the language that a text must have."""
HELD_OUT = 10
"""One document in so many is not learned from, and tells how well new text is encoded."""
ORIGINAL = "tokenizer.model"
STALE = ("vocab.json", "vocab.txt", "merges.txt")
"""What older classes read instead of tokenizer.json; it would say the old vocabulary."""
SHOWN = 60
"""Characters of a text that an error shows."""


@dataclass(frozen=True)
class Rate:
    """Of a text: its characters, and the tokens it had and has."""

    characters: int
    before: int
    after: int

    @property
    def ratio(self) -> float:
        """After over before; 1 where there is no text."""
        return self.after / self.before if self.before else 1.0


@dataclass(frozen=True)
class Grown:
    """`output` has `added` tokens more, with ids from `first` on, for the letters of `scripts`; `pieces` are their
    texts, the most used first, but for parts of characters. `heldout`: text of the language that was not learned from;
    `old`: other text without its letters, where before and after are equal."""

    output: Path
    scripts: tuple[str, ...]
    first: int
    added: int
    rows: int
    pieces: tuple[str, ...]
    heldout: Rate
    old: Rate
    manifest: Manifest


def grow(
    folder: Path,
    texts: Sequence[Text],
    output: Path,
    size: int = SIZE,
    *,
    old: Sequence[Text] = (),
    report: Report | None = None,
) -> Grown:
    """Add at most `size` tokens for the language of `texts` to the checkpoint in `folder`, and write it to `output`.
    Characters of the `old` texts are never part of a new token. `report` cancels by raising.

    Raises NoFolder, NoTokenizerPage, TokenizerKindUnknown, NoTableOfRows, NothingToAdd, TextTooSmall, SizeImpossible,
    OutputTaken, DiskFull, ModelCorrupt, ShrinkExtraMissing."""
    tell = _teller(report)
    _require_possible(folder, output, size)
    page, model = opening.read(folder), checkpoint.read(folder)
    tables.tables(model)
    tell(0.02, "reading")
    learned_from, held = divided(_plain_of(texts))
    known = _plain_of(old)
    letters = _letters(texts, known)
    tell(0.1, "learning")
    found = runs(page, learned_from, letters)
    _require_enough(found, texts)
    learned = learn(page, found, letters, size)
    tell(0.6, "checking")
    new = type(page)(page.grown(learned.pieces, learned.uses))
    heldout, same = rate(page, new, held), unchanged(page, new, known + _plain_of(builtin(USUAL)), letters, folder)
    leaves = page.leaves(learned.pieces)
    require_room(output.parent, tables.bytes_of(model, page.free, len(leaves)))
    scripts = tuple(sorted(letters.scripts))
    found_out = {"added": len(leaves), "first": page.free, "scripts": list(scripts), **_figures(heldout)}
    with whole_folder(output) as target:
        keep(folder, target)
        _tokenizer(page, new, learned, folder, target)
        tables.grow(model, target, page.free, leaves, report)
        manifest = write(target, output.name, folder, _step(size, [*texts, *old], found_out))
    rows = max(tables.tables(model)[0].shape[0], page.free + len(leaves))
    return Grown(output, scripts, page.free, len(leaves), rows, _plain(page, learned), heldout, same, manifest)


def _step(size: int, texts: Sequence[Text], found: dict[str, object]) -> Step:
    data = {text.name: text.digest for text in texts}
    return Step("vocabulary", {"size": size}, data=data, found=found, libraries=("tokenizers",))


def _plain_of(texts: Sequence[Text]) -> list[str]:
    """What each of their documents says."""
    return [document.plain for text in texts for document in text.documents]


def _plain(page: Page, learned: Learned) -> tuple[str, ...]:
    """The new tokens as people read them; parts of letters are left out."""
    return tuple(plain for piece in learned.pieces if (plain := page.plain(piece.token)))


def _require_possible(folder: Path, output: Path, size: int) -> None:
    """Raises SizeImpossible, NoFolder, OutputTaken."""
    if not 0 < size <= MOST:
        raise SizeImpossible(size=size, most=MOST)
    if not folder.is_dir():
        raise NoFolder(path=str(folder))
    require_free(output)


def divided(documents: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is learned from, and what is held out: one in ten by the digest of its words, at least the last."""
    held = [
        text for text in documents if hashlib.sha256(text.encode(errors="surrogatepass")).digest()[0] % HELD_OUT == 0
    ]
    held = held or list(documents[-1:]) if len(documents) > 1 else held
    out = set(held)
    return [text for text in documents if text not in out] or list(documents), held


def _teller(report: Report | None) -> Callable[[float, str], None]:
    return lambda fraction, stage: report(Progress(fraction, stage)) if report is not None else None


def _letters(texts: Sequence[Text], known: Sequence[str]) -> Letters:
    counts: Counter[str] = Counter()
    for text in texts:
        for document in text.documents:
            counts.update(document.plain)
    letters = own(counts, {character for text in known for character in text})
    if not letters.scripts:
        found = own(counts, ()).scripts
        raise NothingToAdd(name=", ".join(text.name for text in texts), letters=", ".join(sorted(found)) or "LATIN")
    return letters


def _require_enough(found: Counter[str], texts: Sequence[Text]) -> None:
    count = sum(len(run) * times for run, times in found.items())
    if count < FEWEST:
        raise TextTooSmall(name=", ".join(text.name for text in texts), count=count, needed=FEWEST)


def rate(page: Page, new: Page, texts: Sequence[str]) -> Rate:
    """Tokens of the texts before and after."""
    tokens = [
        sum(len(each.ids) for each in tokenizer.encode_batch(list(texts)))
        for tokenizer in (page.tokenizer, new.tokenizer)
    ]
    return Rate(sum(map(len, texts)), *tokens)


def unchanged(page: Page, new: Page, texts: Sequence[str], letters: Letters, folder: Path) -> Rate:
    """Lines without the language's letters, encoded both ways. Raises OldTextChanged."""
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    lines = [line for line in lines if not any(character in letters for character in page.normalized(line))]
    before = [each.ids for each in page.tokenizer.encode_batch(lines)]
    after = [each.ids for each in new.tokenizer.encode_batch(lines)]
    for line, old, now in zip(lines, before, after, strict=True):
        if old != now:
            raise OldTextChanged(path=str(folder), sample=line[:SHOWN])
    return Rate(sum(map(len, lines)), sum(map(len, before)), sum(map(len, after)))


def _tokenizer(page: Page, new: Page, learned: Learned, folder: Path, target: Path) -> None:
    content = json.dumps(new.content, ensure_ascii=False, indent=2)
    (target / opening.NAME).write_text(content + "\n", encoding="utf-8")
    original = folder / ORIGINAL
    if original.is_file():
        scores = page.scores(learned.pieces, learned.uses)
        (target / ORIGINAL).write_bytes(proto.grown(original, page.numbered(learned.pieces), scores))
    for name in STALE:
        (target / name).unlink(missing_ok=True)


def _figures(rate: Rate) -> dict[str, float]:
    characters = max(rate.characters, 1)
    before, after = rate.before / characters, rate.after / characters
    return {"tokens_per_character_before": round(before, 4), "tokens_per_character": round(after, 4)}
