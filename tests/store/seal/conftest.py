from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from penjing.store.seal import keys
from penjing.store.seal.form import CHUNK
from penjing.store.seal.keys import SealSettings
from penjing.store.seal.sealing import seal

PASSPHRASE = "korrekt höst 盆景"
SIZE = 5 * CHUNK + 77


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(os.urandom(32).hex() + "\n")
    return path


@pytest.fixture
def command(key_file: Path) -> SealSettings:
    """Opens what `sealed` is."""
    return SealSettings(key_command=f"cat '{key_file}'")


@pytest.fixture
def sealed(plain: Path, command: SealSettings) -> Path:
    path = plain.with_name("weights.bin.sealed")
    seal(plain, path, (partial(keys.command_slot, command.key_command),))
    return path
