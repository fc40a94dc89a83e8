from importlib import resources
from pathlib import Path

import pytest

from tiny_model import Shape, write_tiny_gguf


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PENJING_HOME of the test's own."""
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def guide() -> Path:
    """The built-in model."""
    return Path(str(resources.files("penjing") / "data" / "guide" / "guide.gguf"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model with random weights, context 512."""
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model slow enough (some 100 tokens/s) to be interrupted, context 4096."""
    shape = Shape(layers=8, width=512, heads=8, kv_heads=4, feed_forward=1536, context=4096)
    return write_tiny_gguf(tmp_path_factory.mktemp("slow") / "slow.gguf", shape)
