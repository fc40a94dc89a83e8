"""Everything the probe reads of a machine, through one seam: files, folders, outputs of the system's own tools.

`Reading` reads this machine. `Recorder` does too and writes down what it saw; `Recorded` gives that back, so that the
probe of any machine can be looked into on any other (`penjing probe --record FILE`).

Does not know: what any of it means.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.errors import InputError

PATIENCE = 5.0
"""Seconds a tool may take; a driver in trouble can make nvidia-smi hang."""
MOST = 1 << 20
"""Characters read of one file."""


class NoRecording(InputError):
    """Facts: `path`, `detail`."""

    template = "{path} is not a recorded probe: {detail}"
    hint = "Record one on the other machine: penjing probe --record FILE"
    code = "no_recording"


class Reading:
    """This machine. `system` and `architecture` as in `platform.system()` and `.machine()`; paths are absolute and are
    looked up below `root`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.system = platform.system()
        self.architecture = platform.machine()
        self._printed: dict[tuple[str, ...], str] = {}

    def text(self, path: str) -> str:
        """The content of a file without surrounding blanks; empty where it cannot be read."""
        try:
            with (self.root / path.lstrip("/")).open(encoding="utf-8", errors="replace") as stream:
                return stream.read(MOST).strip(" \t\n\0")
        except OSError:
            return ""

    def names(self, path: str) -> list[str]:
        """What a folder holds, sorted; nothing where it cannot be read."""
        try:
            return sorted(entry.name for entry in (self.root / path.lstrip("/")).iterdir())
        except OSError:
            return []

    def output(self, *command: str) -> str:
        """What a tool prints, asked once; empty where it is absent, fails or takes longer than PATIENCE."""
        if command not in self._printed:
            self._printed[command] = _run(command)
        return self._printed[command]

    def present(self, *tools: str) -> bool:
        """Whether one of `tools` can be called."""
        return any(shutil.which(tool) for tool in tools)

    def affinity(self) -> frozenset[int]:
        """The numbers of the logical CPUs this process may run on."""
        if hasattr(os, "sched_getaffinity"):
            return frozenset(os.sched_getaffinity(0))
        return frozenset(range(os.cpu_count() or 1))

    def space(self, path: str) -> tuple[int, int]:
        """Bytes of the disk that holds `path` (or its nearest parent), and how many are free."""
        place = Path(path)
        while not place.exists() and place != place.parent:
            place = place.parent
        usage = shutil.disk_usage(place)
        return usage.total, usage.free

    def portable(self) -> dict[str, int]:
        """Memory, swap (bytes) and cores where neither Linux's nor macOS' own words are there, from psutil."""
        import psutil

        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        return {
            "total": memory.total,
            "available": memory.available,
            "swap_total": swap.total,
            "swap_used": swap.used,
            "physical": psutil.cpu_count(logical=False) or 0,
        }


def _run(command: tuple[str, ...]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


class Recorder(Reading):
    """This machine, and `recording`: everything that was asked, as `Recorded` takes it."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, str] = {}
        self._folders: dict[str, list[str]] = {}
        self._spaces: dict[str, tuple[int, int]] = {}
        self._tools: dict[str, bool] = {}

    def text(self, path: str) -> str:
        found = super().text(path)
        if found:
            self._files[path] = found
        return found

    def names(self, path: str) -> list[str]:
        found = super().names(path)
        if found:
            self._folders[path] = found
        return found

    def space(self, path: str) -> tuple[int, int]:
        self._spaces[path] = super().space(path)
        return self._spaces[path]

    def present(self, *tools: str) -> bool:
        self._tools |= {tool: super(Recorder, self).present(tool) for tool in tools}
        return any(self._tools[tool] for tool in tools)

    @property
    def recording(self) -> dict[str, object]:
        return {
            "system": self.system,
            "architecture": self.architecture,
            "affinity": sorted(self.affinity()),
            "files": self._files,
            "folders": self._folders,
            "outputs": {" ".join(command): text for command, text in self._printed.items() if text},
            "spaces": self._spaces,
            "tools": self._tools,
        }


class Recorded(Reading):
    """Another machine, from its recording. What was not recorded is as if it were not there. Raises NoRecording."""

    def __init__(self, recording: Mapping[str, Any], path: str = "") -> None:
        super().__init__()
        try:
            self.system, self.architecture = str(recording["system"]), str(recording["architecture"])
            self._affinity = frozenset(int(number) for number in recording["affinity"])
            self._files = {str(name): str(text) for name, text in recording["files"].items()}
            self._outputs = {str(name): str(text) for name, text in recording.get("outputs", {}).items()}
            self._folders = {
                str(name): [str(entry) for entry in entries] for name, entries in recording.get("folders", {}).items()
            }
            self._spaces = {
                str(name): (int(pair[0]), int(pair[1])) for name, pair in recording.get("spaces", {}).items()
            }
            self._tools = {str(name): bool(there) for name, there in recording.get("tools", {}).items()}
            self._portable = {str(name): int(value) for name, value in recording.get("portable", {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise NoRecording(path=path, detail=f"{type(error).__name__}: {error}") from error

    @classmethod
    def load(cls, path: Path) -> Recorded:
        """From the file that `penjing probe --record` wrote. Raises NoRecording, OSError."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise NoRecording(path=str(path), detail=str(error)) from error
        return cls(content, str(path))

    def text(self, path: str) -> str:
        return self._files.get(path, "").strip(" \t\n\0")

    def names(self, path: str) -> list[str]:
        """Recorded folders, and those that recorded files imply."""
        inside = path.rstrip("/") + "/"
        implied = {name[len(inside) :].split("/")[0] for name in self._files if name.startswith(inside)}
        return sorted(implied | set(self._folders.get(path, ())))

    def output(self, *command: str) -> str:
        return self._outputs.get(" ".join(command), "")

    def present(self, *tools: str) -> bool:
        """As recorded; a recording that tells of no tools at all is not one of a machine without them."""
        return any(self._tools.get(tool, not self._tools) for tool in tools)

    def affinity(self) -> frozenset[int]:
        return self._affinity

    def space(self, path: str) -> tuple[int, int]:
        return next(iter(self._spaces.values()), (0, 0))

    def portable(self) -> dict[str, int]:
        return self._portable
