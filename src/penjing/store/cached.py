"""What was made of models and can be made again: conversions and copies in `PENJING_HOME/cache`, each with a note of
what it was made of. `gc` removes those whose source is gone, changed, or at rest.

Does not know: how anything is converted (`cache`, `engines.llamacpp.stretch`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from penjing.files import home, write_whole
from penjing.store.lease import alone, mapped
from penjing.store.using import disk

CONVERTED, STRETCHED = "gguf", "stretched"
SUFFIX = ".source"


class Note(msgspec.Struct, frozen=True):
    """What a cached file was made of. `bytes` and `changed` (ns) are of a file; 0 for a folder, which is there or
    not."""

    path: str
    bytes: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Dropped:
    """A cached file that nothing needs, what it was made of ("" where nobody knows), and its bytes on disk. `used`: an
    engine maps it, so it stays."""

    path: Path
    source: str
    bytes: int
    used: bool = False


def folders() -> tuple[Path, ...]:
    """Where they are."""
    return tuple(home() / "cache" / name for name in (CONVERTED, STRETCHED))


@contextmanager
def noted(target: Path, source: Path) -> Iterator[None]:
    """In the block `target` is made of `source`. The note is there before: a file without one is one nobody needs."""
    whole = source.resolve()
    facts = whole.stat()
    told = Note(str(whole), facts.st_size, facts.st_mtime_ns) if whole.is_file() else Note(str(whole))
    write_whole(_note_of(target), msgspec.json.encode(told))
    try:
        yield
    except BaseException:
        _note_of(target).unlink(missing_ok=True)
        raise


def forget(target: Path) -> None:
    """Remove a cached file and its note."""
    target.unlink(missing_ok=True)
    _note_of(target).unlink(missing_ok=True)


def usage() -> int:
    """Bytes on disk of all of them."""
    return sum(disk(folder) for folder in folders())


def collect(*, dry: bool = False) -> list[Dropped]:
    """Remove those that nothing needs and nobody uses, with `dry` only tell which these are."""
    found = []
    for path, source in orphans():
        with alone(path) as idle:
            used = not idle or bool(mapped([path]))
            found.append(Dropped(path, source, path.stat().st_size, used))
            if not (dry or used):
                forget(path)
    if not dry:
        for left in [each for folder in folders() for each in folder.glob(f"*{SUFFIX}")]:
            if not left.with_name(left.name.removesuffix(SUFFIX)).exists() and _vanished(left):
                left.unlink(missing_ok=True)
    return found


def orphans() -> Iterator[tuple[Path, str]]:
    """Cached files whose source is not what it was, each with that source."""
    for folder in folders():
        for path in sorted(folder.glob("*.gguf")):
            told = _read(_note_of(path))
            if told is None or _vanished(_note_of(path)):
                yield path, told.path if told else ""


def _vanished(note: Path) -> bool:
    told = _read(note)
    if told is None:
        return True
    try:
        facts = Path(told.path).stat()
    except OSError:
        return True
    return bool(told.bytes) and (facts.st_size, facts.st_mtime_ns) != (told.bytes, told.changed)


def _note_of(target: Path) -> Path:
    return target.with_name(target.name + SUFFIX)


def _read(path: Path) -> Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
