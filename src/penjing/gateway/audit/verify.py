"""Is the log as it was written? Every line that was changed, taken out, put in or moved is found and named.

Does not know: what the records mean, but for those by which the log speaks of itself: `retired` (old files were removed
as configured) and `repaired` (a line was torn by a crash).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from penjing.gateway.audit.chain import FIRST, Chain, Torn, decoded
from penjing.gateway.audit.files import HEAD, numbered, read_head


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where. `line` counts from 1; 0 for a whole file."""

    file: str
    line: int
    what: str


@dataclass
class Found:
    """What a log holds, and what is wrong with it."""

    files: int = 0
    records: int = 0
    last: int = 0
    faults: list[Fault] = field(default_factory=list)


def verify(folder: Path, secret: bytes = b"") -> Found:
    """Read all of it."""
    found = Found()
    chain = Chain(secret)
    hashes: dict[int, str] = {0: FIRST}
    beginning: tuple[str, int, str] | None = None
    retired: dict[int, str] = {}
    expected = 0
    for number, path in numbered(folder):
        if expected and number != expected:
            found.faults.append(Fault(path.name, 0, f"file {expected} is missing before it"))
        expected = number + 1
        found.files += 1
        for place, line in enumerate(_lines(path), 1):
            try:
                if found.records == 0:
                    beginning = _join(chain, path.name, line)
                fault = chain.fault(line)
            except Torn:
                fault = "not a record"
                chain.skip()
            found.records += 1
            if fault:
                found.faults.append(Fault(path.name, place, fault))
            else:
                hashes[chain.number] = chain.before
                _note_retired(line, retired)
    found.last = chain.number
    if beginning is not None and retired.get(beginning[1]) != beginning[2]:
        found.faults.append(Fault(beginning[0], 1, f"the {beginning[1]} records before it are missing"))
    found.faults += _head_faults(folder, chain, hashes)
    return found


def _join(chain: Chain, name: str, line: bytes) -> tuple[str, int, str] | None:
    """Let the chain begin at the first line there is, and say what must have been before it."""
    said = decoded(line)
    number, before = said.get("n"), str(said.get("before"))
    if not isinstance(number, int) or number <= 1:
        return None
    chain.number, chain.before = number - 1, before
    return name, number - 1, before


def _note_retired(line: bytes, retired: dict[int, str]) -> None:
    said = decoded(line)
    if said.get("what") == "retired" and isinstance(said.get("through"), int):
        retired[said["through"]] = str(said.get("hash_of_it"))


def _head_faults(folder: Path, chain: Chain, hashes: dict[int, str]) -> Iterator[Fault]:
    try:
        head = read_head(folder)
    except ValueError as error:
        yield Fault(HEAD, 0, f"it cannot be read: {error}")
        return
    if head is None:
        if chain.number:
            yield Fault(HEAD, 0, "it is missing, so nobody can tell whether the end is")
        return
    if head.sealed(chain).seal != head.seal:
        yield Fault(HEAD, 0, "changed")
    elif head.number > chain.number:
        yield Fault(HEAD, 0, f"{head.number - chain.number} records are missing at the end")
    elif head.number in hashes and hashes[head.number] != head.hash:
        yield Fault(HEAD, 0, f"record {head.number} is another one than was written")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from stream
