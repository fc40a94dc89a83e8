"""Rounding is learned layer by layer, in the same bytes; a run that was stopped goes on behind the last layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penjing.errors import SettingError
from penjing.export.gguf.convert import layout
from penjing.probe import single
from penjing.progress import Progress
from penjing.shrink.qat.rounding import Rounding, cut, folder_of, learned
from shrink.qat.test_run import start, wide

TOKENS = np.random.default_rng(0).integers(0, 60, (8, 32)).astype(np.int32)
QUICK = Rounding(iterations=12, batch=2, length=16)


@pytest.mark.extras
def test_every_layer_comes_nearer_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    original = wide(tmp_path / "original", num_hidden_layers=2)
    begun = start(original, tmp_path, "Q3_K_S")
    whole = learned(original, begun, TOKENS, tmp_path / "done.gguf", QUICK, layout=layout)
    assert all(after < before for before, after in zip(whole.before, whole.after, strict=True))
    one, other = single.read(begun), single.read(whole.output)
    assert [(each.name, each.type, each.bytes) for each in one.tensors] == [
        (each.name, each.type, each.bytes) for each in other.tensors
    ]
    parts = folder_of(tmp_path / "parts.gguf")

    def stop(progress: Progress) -> None:
        if len(list(parts.glob("layer-*.pt"))) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learned(original, begun, TOKENS, tmp_path / "parts.gguf", QUICK, layout=layout, report=stop)
    assert not (tmp_path / "parts.gguf").exists()
    known = (parts / "layer-0000.pt").stat().st_mtime_ns
    heard: list[int] = []

    def hear(progress: Progress) -> None:
        heard.extend(each.stat().st_mtime_ns for each in parts.glob("layer-0000.pt"))

    learned(original, begun, TOKENS, tmp_path / "parts.gguf", QUICK, layout=layout, report=hear)
    assert set(heard) == {known}  # it was not learned again
    assert (tmp_path / "parts.gguf").read_bytes() == whole.output.read_bytes()
    assert not parts.exists()


def test_windows_are_cut_into_whole_batches() -> None:
    assert cut(TOKENS, Rounding(batch=3, length=16)).shape == (5, 3, 16)
    assert cut(TOKENS, Rounding(batch=100, length=100, most=5)).shape == (1, 5, 32)
    with pytest.raises(SettingError):
        Rounding(iterations=0)
