from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hubs
from penjing.fleet.client import Hub
from penjing.manifest import Manifest
from penjing.store.trust import keys
from penjing.store.trust.keys import SigningKey
from penjing.store.versions import Store
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine that the test's own process is."""
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three versions of a model; each differs from the one before in half of its tensors."""
    first = write_tiny_gguf(tmp_path_factory.mktemp("models") / "1.gguf", Shape(layers=4, width=192, feed_forward=576))
    made = [first]
    for number in (2, 3):
        content = bytearray(made[-1].read_bytes())
        half = len(content) // 2
        content[half:] = bytes((each + 85) % 256 for each in content[half:])
        made.append(first.with_name(f"{number}.gguf"))
        made[-1].write_bytes(content)
    return made


@pytest.fixture
def store(home: Path) -> Store:
    return Store()


@pytest.fixture
def versions(store: Store, files: list[Path]) -> list[str]:
    """They are in the store."""
    return [str(store.add({"m.gguf": path}, Manifest(name="m", version=""))) for path in files]


@pytest.fixture
def key(home: Path) -> SigningKey:
    return keys.make()


@pytest.fixture
def hub(home: Path, tmp_path: Path) -> Iterator[Hub]:
    """A hub as its publisher asks it."""
    with hubs.near(tmp_path / "hub") as url, Hub(url, "secret") as asked:
        yield asked
