"""The states of a training run on disk: `step-00000200.pt`, the newest few, and `best.pt`.

Each is written whole or not at all, so that a run that was killed goes on from the last one that is there.

Does not know: what is in a state (`training` does), models.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from penjing.errors import InputError, ModelCorrupt
from penjing.files import require_room, writing

BEST = "best.pt"
NAME = re.compile(r"step-(\d{8})\.pt")


class NothingToResume(InputError):
    """Facts: `path`."""

    template = "{path} holds no checkpoint of a training run."
    hint = "Leave --resume out to begin a new run."
    code = "nothing_to_resume"


class CheckpointDamaged(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "The checkpoint {path} cannot be read: {detail}"
    hint = "Go on from an older one of the same folder: --resume-from FILE"
    code = "checkpoint_damaged"


class Checkpoints:
    """The folder of one run; the newest `keep` states stay."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def all(self) -> list[Path]:
        """The states that are there, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if NAME.fullmatch(path.name))

    def newest(self) -> Path:
        """The last state. Raises NothingToResume."""
        there = self.all()
        if not there:
            raise NothingToResume(path=str(self.folder))
        return there[-1]

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after `step` steps, then forget those that are too old. Raises DiskFull."""
        path = write(self.folder / f"step-{step:08}.pt", state)
        for old in self.all()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def save_best(self, state: dict[str, Any]) -> Path:
        """Write the weights that were best so far. Raises DiskFull."""
        return write(self.folder / BEST, state)

    def best(self) -> dict[str, Any]:
        """The weights that were best. Raises CheckpointDamaged, NothingToResume."""
        return read(self.folder / BEST)


def write(path: Path, state: dict[str, Any]) -> Path:
    """One state (tensors, numbers, text and lists of them). Raises DiskFull."""
    import torch

    size = _bytes(state)
    require_room(path.parent, size)
    with writing(path, size=size) as stream:
        torch.save(state, stream)
    return path


def _bytes(state: Any) -> int:
    """Of the tensors in it, which is nearly all."""
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    if isinstance(state, (list, tuple)):
        return sum(map(_bytes, state))
    return int(state.nbytes) if hasattr(state, "nbytes") else 0


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote; no code in the file is run. Raises NothingToResume, CheckpointDamaged."""
    import pickle

    import torch

    if not path.is_file():
        raise NothingToResume(path=str(path))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointDamaged(path=str(path), detail=str(error).splitlines()[0] if str(error) else "") from error
    if not isinstance(state, dict):
        raise CheckpointDamaged(path=str(path), detail=type(state).__name__)
    return cast("dict[str, Any]", state)
