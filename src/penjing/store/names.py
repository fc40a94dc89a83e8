"""What a person types for a version: `NAME`, `NAME:TAG`, `NAME@VERSION`.

Upper and lower case are the same (disks differ in that). A name may have one owner before it: `OWNER/NAME`.

Does not know: which versions there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penjing.store.faults import BadName

PART = r"[a-z0-9][a-z0-9._-]{0,95}"
NAME = re.compile(rf"{PART}(/{PART})?")
TAG = re.compile(r"[a-z0-9_][a-z0-9._-]{0,95}")
LATEST, STABLE = "latest", "stable"
"""`latest` is always the newest version; `stable`, where it is set, is what NAME alone means."""
SLASH = "+"
"""Stands for `/` in the name of a folder; no name has it."""


@dataclass(frozen=True)
class Wanted:
    """`tag` and `version` (a number, or at least 6 letters of a digest) are empty where not given."""

    name: str
    tag: str = ""
    version: str = ""

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.version}" if self.version else "")


def parse(text: str) -> Wanted:
    """`text` taken apart. Raises BadName."""
    whole, _, version = text.strip().lower().partition("@")
    name, colon, tag = whole.partition(":")
    wrong = not NAME.fullmatch(name) or (colon and not TAG.fullmatch(tag)) or (colon and version)
    if wrong or (text.count("@") and not re.fullmatch(r"\d{1,9}|(sha256:)?[0-9a-f]{6,64}", version)):
        raise BadName(value=text)
    return Wanted(name, tag, version.removeprefix("sha256:"))


def name_of(text: str) -> str:
    """A name alone. Raises BadName."""
    found = text.strip().lower()
    if not NAME.fullmatch(found):
        raise BadName(value=text)
    return found


def tag_of(text: str) -> str:
    """A tag alone. Raises BadName."""
    found = text.strip().lower()
    if not TAG.fullmatch(found):
        raise BadName(value=text)
    return found


def suggested(text: str) -> str:
    """The nearest allowed name to any text, such as a file's: `My Model (v2)` becomes `my-model-v2`.

    >>> suggested("My Model (v2)"), suggested("...")
    ('my-model-v2', 'model')
    """
    kept = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-._")[:96]
    return kept or "model"


def folder_of(name: str) -> str:
    """What the folder of `name` is called.

    >>> folder_of("owner/name")
    'owner+name'
    """
    return name.replace("/", SLASH)
