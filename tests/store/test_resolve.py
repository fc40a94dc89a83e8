from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from penjing.errors import ModelNotFound, SettingError
from penjing.export.gguf.convert import convert
from penjing.probe import model as probe
from penjing.probe.faults import NoWeights
from penjing.shrink.quantize import AlreadyQuantized
from penjing.store import cache
from penjing.store.resolve import NoSuchModel, NotALanguageModel, guide, resolve
from tiny_checkpoint import write_checkpoint
from tiny_model import write_tiny_gguf


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_gguf_is_itself(here: Path) -> None:
    path = write_tiny_gguf(here / "tiny.gguf")
    found = resolve("tiny.gguf")
    assert (found.name, found.path, found.kind) == ("tiny", Path("tiny.gguf"), "gguf")
    assert found.path.samefile(path)
    assert not cache.folder().exists()


@pytest.mark.parametrize(("bits", "label"), [(8, "Q8_0"), (16, "F16"), (4, "Q5_0")])
def test_a_gguf_made_smaller(here: Path, bits: int, label: str) -> None:
    write_tiny_gguf(here / "tiny.gguf")  # 64 wide, so that four bits fall back
    found = resolve("tiny.gguf", bits=bits)
    assert found.path.parent == cache.folder()
    assert probe.read(found.path).quantization == label
    assert found.name == "tiny"
    if bits == 8:
        assert resolve(str(found.path), bits=8).path == found.path
        with pytest.raises(AlreadyQuantized):
            resolve(str(found.path), bits=4)


def test_a_checkpoint_is_converted_once(here: Path) -> None:
    write_checkpoint(here / "tiny-llama")
    found = resolve("tiny-llama")
    assert (found.name, found.kind) == ("tiny-llama", "checkpoint")
    model = probe.read(found.path)
    assert (model.quantization, model.name) == ("F16", "tiny-llama")
    stamp = found.path.stat().st_mtime_ns
    assert resolve("tiny-llama/").path == found.path
    assert found.path.stat().st_mtime_ns == stamp
    assert resolve("tiny-llama", bits=8).path != found.path
    write_checkpoint(here / "tiny-llama", rope_theta=500000.0)
    changed = resolve("tiny-llama").path
    assert changed != found.path
    assert probe.read(changed).metadata["llama.rope.freq_base"] == 500000.0


def test_guide() -> None:
    found = resolve("guide")
    assert (found.name, found.kind) == ("guide", "guide")
    assert probe.read(found.path).quantization == "Q8_0"
    assert resolve("guide", bits=8).path == found.path


@pytest.mark.parametrize(("bits", "label"), [(16, "F16"), (4, "Q4_K_M")])
def test_guide_in_other_bits_comes_from_its_checkpoint(bits: int, label: str) -> None:
    found = resolve("guide", bits=bits)
    assert (found.name, found.kind) == ("guide", "guide")
    assert probe.read(found.path).quantization == label


def test_the_guide_is_what_our_converter_makes_of_it(here: Path) -> None:
    convert(guide().parent, here / "again.gguf", 8)
    once, again = gguf.GGUFReader(guide()), gguf.GGUFReader(here / "again.gguf")
    made = {tensor.name: tensor for tensor in again.tensors}
    assert made.keys() == {tensor.name for tensor in once.tensors}
    for tensor in once.tensors:
        assert tensor.tensor_type == made[tensor.name].tensor_type
        assert np.array_equal(tensor.data, made[tensor.name].data), tensor.name
    for key in ("tokens", "merges", "token_type", "pre", "eos_token_id", "add_bos_token"):
        name = f"tokenizer.ggml.{key}"
        assert once.fields[name].contents() == again.fields[name].contents()


def test_a_name_that_is_not_there(here: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve("nothing-like-it")
    assert type(caught.value) is ModelNotFound
    write_tiny_gguf(here / "qwen9-0.6b.gguf")
    write_checkpoint(here / "llama-tiny")
    for name, near in (("qwen9", "qwen9-0.6b.gguf"), ("llama-tinny", "llama-tiny"), ("giude", "guide")):
        with pytest.raises(NoSuchModel) as caught:
            resolve(name)
        assert caught.value.facts["first"] == near
        assert f"penjing chat {near}" in caught.value.advice("en")
        assert near in caught.value.message("zh")


@pytest.mark.parametrize("name", ["localhost:8000", "10.0.0.2:8080/v1"])
def test_an_address_without_its_scheme(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(name)
    assert caught.value.advice("en") == f"For a server write its whole address: http://{name}"


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ModelNotFound):
        resolve("/no/such/folder/model.gguf")


def test_an_empty_folder(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(NoWeights):
        resolve("empty")


def test_bits(here: Path) -> None:
    with pytest.raises(SettingError, match="2, 3, 4, 5, 6, 8, 16 or 32"):
        resolve("guide", bits=7)


def test_a_projector_is_no_model(here: Path) -> None:
    writer = gguf.GGUFWriter(here / "mmproj.gguf", "clip")
    writer.add_type("mmproj")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(NotALanguageModel, match="mmproj"):
        resolve("mmproj.gguf")
