"""Put a finished model into the package: every file is written beside its place and only then renamed.

Knows nothing of how the files were made. Nothing is replaced unless all of them are there, and a run that is stopped
leaves whole files, old or new.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from recipes.guide.card import CARDS, FILES

MANIFEST = "manifest.json"  # replaced last: it names the digests of the others


def publish(ready: Path, target: Path) -> list[str]:
    """Copy the model's files from `ready` to `target`; their names. Raises FileNotFoundError if one is missing."""
    names = [*FILES, *CARDS.values(), MANIFEST]
    if missing := [name for name in names if not (ready / name).is_file()]:
        raise FileNotFoundError(f"{ready} lacks {', '.join(missing)}; run the step that writes them first")
    target.mkdir(parents=True, exist_ok=True)
    parts = {name: target / f".{name}.part" for name in names}
    try:
        for name, part in parts.items():
            _copy(ready / name, part)
        for name, part in parts.items():
            part.replace(target / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return names


def _copy(source: Path, part: Path) -> None:
    with source.open("rb") as read, part.open("wb") as written:
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ready", type=Path, default=Path("build/guide/ready"))
    parser.add_argument("--output", type=Path, default=Path("src/penjing/data/guide"))
    options = parser.parse_args()
    print(f"{len(publish(options.ready, options.output))} files -> {options.output}")


if __name__ == "__main__":
    main()
