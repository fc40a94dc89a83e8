"""From the MODEL and the PARENT that a person typed to files that can be judged.

Does not know: how they are judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penjing.cli.model import Misplaced, NotHere, is_url
from penjing.errors import SettingError
from penjing.shrink.bits import BITS, SAID

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.cli.local import Care
    from penjing.probe.facts import Model
    from penjing.store.resolve import Found


@dataclass(frozen=True)
class Subject:
    """`name` as it was typed, the GGUF `file`, its facts, and where it came from."""

    name: str
    file: Path
    facts: Model
    source: Found
    care: Care

    @property
    def title(self) -> str:
        """What it is called in tables."""
        return f"{self.name} ({self.facts.quantization})"


def subject(name: str, bits: str | None, care: Care, option: str = "--bits") -> Subject:
    """A checkpoint is converted first (once), with its progress on stderr. Raises NotHere for a URL, NotWhileSealed,
    SettingError, and what `fetching.found` and conversions raise."""
    from penjing.cli.fetching import found
    from penjing.cli.progress import shown
    from penjing.probe import model as probe
    from penjing.store.seal.faults import NotWhileSealed

    if is_url(name):
        raise NotHere(model=name)
    if bits is not None and bits not in map(str, BITS):
        raise SettingError(name=option.strip("-"), value=bits, wanted=SAID, source=option)
    source = found(name, int(bits) if bits else None, care)
    if source.kind == "sealed":
        raise NotWhileSealed(
            option="penjing evaluate", model=name, detail="its logits would be computed outside the sealed engine."
        )
    with shown() as report:
        file = source.make(report)
    return Subject(name, file, probe.read(file), source, care)


def parent_of(given: dict[str, Any], care: Care) -> Subject | None:
    """None where none was named. Raises as `subject`, and Misplaced."""
    if given["against"]:
        return subject(given["against"], given["against_bits"], care, "--against-bits")
    if given["against_bits"]:
        raise Misplaced(option="--against-bits", model=given["model"], detail=NO_PARENT)
    return None


NO_PARENT = "there is no --against."
