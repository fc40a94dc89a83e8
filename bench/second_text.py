"""Text that is on every machine with Python, and has nothing to do with the guide: the language reference that `pydoc`
carries, the standard library's docstrings, and (where they are installed) programs' messages in Chinese.

Used where it lies and never passed on.

Does not know: tokens, models.
"""

from __future__ import annotations

import ast
import gettext
import hashlib
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}
CATALOGUES = Path("/usr/share/locale/zh_CN/LC_MESSAGES")
SHORTEST = 40
MESSAGES = 24
"""Messages of one program that make a document."""
HELD_OUT = 20
"""One document in so many is kept from training."""
HAN = re.compile(r"[\u4e00-\u9fff]")


def documents() -> list[str]:
    """All of it without repetitions, in an order of its own that is the same every time."""
    found = dict.fromkeys([*topics(), *docstrings(), *chinese()])
    return sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest())


def split(texts: list[str]) -> tuple[list[str], list[str]]:
    """What is learned from, what is held out. Which it is depends on a document's own words, not on the others."""
    held = [text for text in texts if hashlib.sha256(text.encode()).digest()[-1] % HELD_OUT == 0]
    out = set(held)
    return [text for text in texts if text not in out], held


def topics() -> Iterator[str]:
    """The language reference, section by section."""
    from pydoc_data import topics as pages

    for page in pages.topics.values():
        parts = re.split(r"\n(?=[^\n]+\n[*=~-]{4,}\n)", page)
        yield from (part.strip() for part in parts if len(part.strip()) >= SHORTEST)


def docstrings() -> Iterator[str]:
    """Of modules, classes and functions, each under its name."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):  # some files are there to be wrong
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                said = ast.get_docstring(node) or ""
                if len(said) >= SHORTEST:
                    yield f"{getattr(node, 'name', path.stem)}: {said}"


def chinese() -> Iterator[str]:
    """Messages of installed programs, some of one program together."""
    for path in sorted(CATALOGUES.glob("*.mo")):
        with path.open("rb") as stream:
            messages = gettext.GNUTranslations(stream)._catalog.values()  # type: ignore[attr-defined]  # no other way to all of them
        said = sorted({text for text in messages if isinstance(text, str) and HAN.search(text)})
        random.Random(path.name).shuffle(said)
        for begin in range(0, len(said), MESSAGES):
            yield "\n".join(said[begin : begin + MESSAGES])


def digest(texts: list[str]) -> str:
    """SHA-256 of all documents in hex."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
