"""What a checkpoint was made from and how, written into its manifest.

    recipe = {"steps": [{"step": "prune", "options": {...}, "seed": 0, "data": {NAME: SHA-256},
                         "libraries": {NAME: VERSION}, "found": {...}}, ...]}

The steps of the parent come first, so that the last manifest tells the whole way.

Does not know: what a step does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import msgspec

import penjing
from penjing import manifest
from penjing.manifest import Manifest
from penjing.probe import model as probe

LICENCE = re.compile(r"^licen[sc]e:\s*['\"]?([^'\"\n]+)", re.MULTILINE)
NO_DERIVATIVES = re.compile(r"\bnd\b|no[- ]?deriv", re.IGNORECASE)  # CC's own abbreviation
CARD_READ = 64 << 10  # bytes of a card in which its licence is looked for


@dataclass(frozen=True)
class Step:
    """One step. `options`: as given, with defaults filled in. `data`: SHA-256 of every text file or list that was used.
    `found`: what the step decided or measured, to be read by people and reports. `consent`: what the user agreed to."""

    step: str
    options: Mapping[str, object]
    seed: int | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, object] = field(default_factory=dict)
    consent: Mapping[str, object] = field(default_factory=dict)
    libraries: tuple[str, ...] = ("torch", "transformers")

    def entry(self) -> dict[str, object]:
        """As it stands in a manifest, empty parts left out; paths are text."""
        entry = {**msgspec.to_builtins(asdict(self), enc_hook=str), "libraries": versions(self.libraries)}
        return {name: value for name, value in entry.items() if value not in (None, {}, ())}


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Installed versions of packages, penjing's first; what is not installed is left out."""
    return {"penjing": penjing.__version__} | {name: version(name) for name in names if find_spec(name)}


def digest_texts(texts: list[str]) -> str:
    """SHA-256 of a list of texts; their borders count."""
    return hashlib.sha256(msgspec.json.encode(texts)).hexdigest()


def parent_digest(model: Path) -> str:
    """SHA-256 of the model's manifest; where it has none, of the digests of its weight files in the order of their
    names. `model` is a folder or a GGUF file."""
    page = (model if model.is_dir() else model.parent) / manifest.NAME
    if page.is_file():
        return manifest.digest(page)
    digests = [manifest.digest(path) for path in sorted(probe.read(model).files)]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest() if len(digests) > 1 else digests[0]


def parent_manifest(model: Path) -> Manifest | None:
    """The manifest beside a model; None without one. Raises ModelCorrupt for a damaged one."""
    folder = model if model.is_dir() else model.parent
    return manifest.load(folder) if (folder / manifest.NAME).is_file() else None


def licence(model: Path) -> str:
    """The licence that the model's manifest or card names; empty where neither does."""
    known = parent_manifest(model)
    if known and known.licence:
        return known.licence
    card = (model if model.is_dir() else model.parent) / "README.md"
    if not card.is_file():
        return ""
    with card.open("rb") as stream:
        front = stream.read(CARD_READ).decode("utf-8", "replace")
    found = LICENCE.search(front.split("\n---", 1)[0]) if front.startswith("---") else None
    return found[1].strip() if found else ""


def forbids_derivatives(licence: str) -> bool:
    """Whether a licence's name says that changed works must not be passed on.

    >>> forbids_derivatives("cc-by-nc-nd-4.0"), forbids_derivatives("apache-2.0")
    (True, False)
    """
    return bool(NO_DERIVATIVES.search(licence))


def write(folder: Path, name: str, parent: Path, step: Step) -> Manifest:
    """Describe the finished checkpoint in `folder`, made from `parent` by `step`, in its `manifest.json`."""
    model = probe.read(folder)
    before = parent_manifest(parent)
    earlier = before.recipe.get("steps", []) if before else []
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != manifest.NAME]
    made = Manifest(
        name=name,
        version="1",
        licence=licence(parent),
        facts={
            "architecture": model.architecture,
            "parameters": model.parameters,
            "context": model.context,
            "layers": model.layers,
            "hidden": model.embedding,
            "vocabulary": model.vocabulary,
        },
        files=tuple(manifest.describe(path, folder) for path in files),
        parent=parent_digest(parent),
        recipe={"steps": [*(earlier if isinstance(earlier, list) else []), step.entry()]},
    )
    manifest.save(made, folder)
    return made


def last(made: Manifest) -> dict[str, object]:
    """The step that made it, as it stands in its manifest."""
    steps = made.recipe.get("steps")
    return dict(steps[-1]) if isinstance(steps, list) and steps else {}
