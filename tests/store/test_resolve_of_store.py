"""A name of the store is a MODEL like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from penjing.manifest import Manifest
from penjing.probe import model as probe
from penjing.store import cache
from penjing.store.faults import NearInStore
from penjing.store.resolve import NotALanguageModel, NotFetched, find, resolve
from penjing.store.versions import Store
from tiny_checkpoint import write_checkpoint
from tiny_model import write_tiny_gguf


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_gguf_of_the_store(here: Path) -> None:
    made = Store().add({"a.gguf": write_tiny_gguf(here / "a.gguf")}, Manifest(name="tiny", version=""))
    Store().tag("tiny", "0.1b", made)
    found = find("Tiny:0.1b")
    assert (found.name, found.version, found.kind) == ("tiny:0.1b", made, "gguf")
    assert found.make(None) == made.path
    assert resolve("tiny@1").path == made.path
    assert probe.read(resolve("tiny", bits=8).path).quantization == "Q8_0"
    with pytest.raises(NearInStore):
        find("tiny:0.2b")


def test_a_checkpoint_of_the_store(here: Path) -> None:
    folder = write_checkpoint(here / "checkpoint")
    files = {path.name: path for path in folder.iterdir()}
    Store().add(files, Manifest(name="tiny", version=""))
    found = resolve("tiny")
    assert (found.kind, found.path.parent) == ("checkpoint", cache.folder())


def test_a_file_here_comes_first(here: Path) -> None:
    Store().add({"a.gguf": write_tiny_gguf(here / "a.gguf")}, Manifest(name="a.gguf", version=""))
    assert find("a.gguf").version is None
    assert find("A.GGUF@1").version is not None


def test_a_part_is_no_model(here: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(here / "adapter.gguf", "llama")
    writer.add_type("adapter")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    Store().add({"adapter.gguf": here / "adapter.gguf"}, Manifest(name="adapter", version=""))
    with pytest.raises(NotALanguageModel):
        resolve("adapter")


@pytest.mark.parametrize("name", ["hf:o/r:F32", "hf:O/r", "https://huggingface.co/o/r", "hub:o/r"])
def test_a_model_by_the_place_it_was_fetched_from(here: Path, name: str) -> None:
    made = Store().add({"a.gguf": write_tiny_gguf(here / "a.gguf")}, Manifest(name="o/r", version=""))
    Store().tag("o/r", "f32", made)
    assert find(name).version == made


@pytest.mark.parametrize("name", ["qwen3:4b:F32", "Qwen3:4B:f32", "qwen3:4b-f32", "qwen3:4b", "qwen3"])
def test_a_short_name_with_its_quantization_and_an_alias(here: Path, name: str) -> None:
    made = Store().add({"a.gguf": write_tiny_gguf(here / "a.gguf")}, Manifest(name="qwen3", version=""))
    for tag in ("4b", "4b-f32"):
        Store().tag("qwen3", tag, made)
    assert find(name).version == made


@pytest.mark.parametrize("name", ["qwen3:0.6b", "Qwen3:0.6B:Q8_0", "hf:o/r:Q2_K", "hf:o/nothing", "ms:p/r", "hub:x"])
def test_what_can_be_fetched_is_said_to_be_so(here: Path, name: str) -> None:
    for other in ("o/r", "qwen3"):
        Store().add({"a.gguf": write_tiny_gguf(here / "a.gguf")}, Manifest(name=other, version=""))
    with pytest.raises(NotFetched) as refused:
        find(name)
    assert refused.value.advice("en") == f"Fetch it first: penjing pull {name}"
