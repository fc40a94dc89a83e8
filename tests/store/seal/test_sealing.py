from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from penjing.errors import DiskFull, ModelCorrupt
from penjing.probe import gguf
from penjing.progress import Progress
from penjing.store.resolve import guide
from penjing.store.seal import form, keys
from penjing.store.seal.faults import ManyFiles, SealedAlready
from penjing.store.seal.keys import SealSettings
from penjing.store.seal.opening import open_sealed
from penjing.store.seal.sealing import head, seal


def way(command: SealSettings) -> tuple[partial[form.Command]]:
    return (partial(keys.command_slot, command.key_command),)


def test_the_head_of_a_gguf_is_known(tmp_path: Path, command: SealSettings) -> None:
    """So that its header can be probed without decrypting its weights."""
    path = tmp_path / "g.sealed"
    header = seal(guide(), path, way(command), chunk=1 << 16)
    assert header.head == min(tensor.offset for tensor in gguf.read(guide()).tensors)
    memory = open_sealed(path, command).head()
    try:
        assert gguf.read(memory.path).metadata == gguf.read(guide()).metadata
        assert memory.size == guide().stat().st_size
        blocks = os.fstat(memory.descriptor).st_blocks * 512
        assert header.head <= blocks < memory.size / 4
    finally:
        memory.close()


def test_ctrl_c_leaves_nothing(plain: Path, command: SealSettings) -> None:
    def give_up(progress: Progress) -> None:
        raise KeyboardInterrupt

    before = set(plain.parent.iterdir())
    with pytest.raises(KeyboardInterrupt):
        seal(plain, plain.with_name("out"), way(command), report=give_up)
    assert set(plain.parent.iterdir()) == before


def test_what_cannot_be_sealed(plain: Path, sealed: Path, command: SealSettings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SealedAlready):
        seal(sealed, out, way(command))
    with pytest.raises(ManyFiles):
        seal(tmp_path, out, way(command))
    plain.write_bytes(guide().read_bytes()[:500])
    with pytest.raises(ModelCorrupt):
        seal(plain, out, way(command))
    assert not out.exists()


def test_a_full_disk(plain: Path, command: SealSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))  # type: ignore[attr-defined]
    with pytest.raises(DiskFull):
        seal(plain, plain.with_name("out"), way(command))


def test_other_files_have_no_head(plain: Path) -> None:
    assert head(plain) == 0
