"""Writes the built-in texts, calibration.jsonl and heldout.jsonl, the same bytes for the same sources.

    python -m recipes.texts [--output DIR]

Three kinds of text, all written for penjing: passages of many kinds (`passages.en.txt`, `passages.zh.txt`; prose,
code, tables, conversations), pages of its documentation, and (for calibration alone) conversations that the built-in
guide was trained on, none of whose questions is in its yardstick. A passage or page is in one of the two files, never
in both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penjing.shrink.texts.read import pieces
from recipes.guide.corpus import heldout, never_trained, train

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
OURS = HERE.parent.parent / "src" / "penjing" / "data" / "texts"
PAGES = {
    "calibration": ("chat", "serve", "engines", "store", "bench", "models", "dialects", "guide", "probe", "keys"),
    "heldout": ("planning", "trust", "release", "policies", "hub", "profile", "upgrade", "pull", "audit"),
}
CODE = {"calibration": ("amounts.py", "settings.py"), "heldout": ("language.py", "files.py")}
"""Of src/penjing."""
PIECE, MOST_PIECES, TALKS = 1500, 5, 300
"""Characters of a document, documents of a page, conversations in each language."""
TURN = re.compile(r"^(user|assistant|system): ", re.MULTILINE)
Row = dict[str, Any]


def passages(language: str) -> list[Row]:
    """The passages in one language."""
    whole = (HERE / f"passages.{language}.txt").read_text(encoding="utf-8")
    return [passage(each.strip("\n"), language) for each in whole.split("\n---\n")]


def passage(text: str, language: str) -> Row:
    """One passage: a conversation where it begins with who speaks."""
    if not TURN.match(text):
        return {"language": language, "text": text}
    parts = TURN.split(text)[1:]
    turns = zip(parts[::2], parts[1::2], strict=True)
    return {"language": language, "messages": [{"role": role, "content": said.strip()} for role, said in turns]}


def pages(name: str, language: str) -> Iterator[Row]:
    """Pages of the documentation; in English also code."""
    files = [DOCS / language / f"{page}.md" for page in PAGES[name]]
    if language == "en":
        files += [HERE.parent.parent / "src" / "penjing" / each for each in CODE[name]]
    for file in files:
        text = file.read_text(encoding="utf-8")
        size = PIECE if language == "en" else PIECE // 2
        yield from ({"language": language, "text": each} for each in pieces(text, size)[:MOST_PIECES])


def talks() -> list[Row]:
    """Conversations of the guide's training, in both languages."""
    rows = train(0, never_trained(heldout(0)))
    return [
        {"language": row["lang"], "messages": [{"role": m["role"], "content": m["content"]} for m in row["messages"]]}
        for row in itertools.islice(rows, 2 * TALKS)
    ]


def rows(name: str) -> list[Row]:
    """All of one file, mixed, so that its beginning is like the whole."""
    place = ("calibration", "heldout").index(name)
    found = [each for language in ("en", "zh") for each in (*passages(language)[place::2], *pages(name, language))]
    if name == "calibration":
        found += talks()
    random.Random(name).shuffle(found)
    return found


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description="Write the built-in texts.")
    parser.add_argument("--output", type=Path, default=OURS)
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in rows(name)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
        print(f"{name}.jsonl: {len(lines)} documents, {sum(len(each.encode()) for each in lines)} bytes")


if __name__ == "__main__":
    main()
