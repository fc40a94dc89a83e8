"""How it is found out what a choice of types loses: of small models in whole files, as they would be written; of large
ones without a file, each of which would be as large as the source.

Does not know: which choices are worth a try.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from penjing.probe.facts import Model
from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.instead import Errors
from penjing.shrink.quantize.judge import Judge
from penjing.shrink.quantize.workshop import Workshop
from penjing.shrink.quantize.worth import FINE
from penjing.shrink.texts.windows import Windows


class Trial(Protocol):
    """One model, calibrated, and the text that it is compared on."""

    def kl(self, types: Mapping[str, str]) -> float:
        """Mean divergence, nats, with `types` by name, all else as it is. Raises as quantizing and measuring do."""

    def close(self) -> None:
        """Free what it holds."""


def trial(model: Model, importance: Importance, windows: Windows, threads: int, folder: Path) -> Trial:
    """The one that suits the model's size; files are made in `folder`."""
    if model.parameters > FINE:
        return InPlace(model, importance, windows, threads)
    return InFiles(model, importance, windows, threads, folder)


class InFiles:
    """Each choice is a file, with the errors of all tensors made good, and gone when it is measured."""

    def __init__(self, model: Model, importance: Importance, windows: Windows, threads: int, folder: Path) -> None:
        self.file = folder / "try.gguf"
        self.workshop = Workshop(model, importance)
        self.judge = Judge(model.path, windows, threads=threads)

    def kl(self, types: Mapping[str, str]) -> float:
        path = self.workshop.write(self.file, types)
        found = self.judge.kl(path)
        path.unlink()
        return found

    def close(self) -> None:
        self.judge.close()


class InPlace:
    """The source stays loaded, and says what it would say with these types, rounded as quickly as types are tried."""

    def __init__(self, model: Model, importance: Importance, windows: Windows, threads: int) -> None:
        self.errors = Errors(model, importance)
        with ExitStack() as opened:
            self.engine = opened.enter_context(Engine(Path(model.path), threads=threads, watcher=self.errors))
            self.judge = opened.enter_context(Judge(model.path, windows, engine=self.engine))
            self._opened = opened.pop_all()

    def kl(self, types: Mapping[str, str]) -> float:
        self.errors.types = types
        return float(self.judge.of(self.engine).mean())

    def close(self) -> None:
        self._opened.close()
