from __future__ import annotations

import json
from pathlib import Path

import gguf
import pytest

from penjing.errors import ModelNotFound, PenjingError
from penjing.probe import faults
from penjing.probe.model import read
from tiny_checkpoint import write_checkpoint, write_sharded
from tiny_model import Shape, write_tiny_gguf


def test_a_gguf(tmp_path: Path) -> None:
    model = read(write_tiny_gguf(tmp_path / "tiny.gguf", pooling=1))
    assert model.format == "gguf"
    assert (model.architecture, model.name, model.quantization) == ("llama", "tiny", "F32")
    assert (model.context, model.layers, model.embedding, model.heads, model.kv_heads) == (512, 2, 64, 4, 2)
    assert (model.key_length, model.value_length, model.feed_forward, model.vocabulary) == (16, 16, 128, 259)
    assert model.parameters == sum(tensor.elements for tensor in model.tensors)
    assert model.bytes == 4 * model.parameters
    assert model.bits_per_weight == 32
    assert "im_start" in model.chat_template
    assert model.pooling == "mean"
    assert (model.metadata["tokenizer.ggml.pre"], model.metadata["tokenizer.ggml.tokens"]) == ("gpt-2", 259)


@pytest.mark.parametrize("write", [write_checkpoint, write_sharded])
def test_a_checkpoint(tmp_path: Path, write: object) -> None:
    folder = write(tmp_path / "tiny-llama")  # type: ignore[operator]
    model = read(folder)
    assert model.format == "safetensors"
    assert (model.architecture, model.name, model.quantization) == ("llama", "tiny-llama", "F32")
    assert (model.context, model.layers, model.embedding, model.heads, model.kv_heads) == (256, 2, 64, 4, 2)
    assert (model.key_length, model.feed_forward, model.vocabulary) == (16, 128, 264)
    assert model.chat_template == "{{ messages[0].content }}"
    assert model.bytes == 4 * model.parameters


def test_one_safetensors_file_is_its_folder(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny-llama")
    assert read(folder / "model.safetensors").path == folder


def test_multimodal_settings_are_nested(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({"text_config": config, "vision_config": {}, "model_type": "gemma3"})
    )
    model = read(folder)
    assert model.has_vision
    assert model.layers == 2


def test_settings_of_wrong_kinds_count_as_unsaid(tmp_path: Path) -> None:
    model = read(write_checkpoint(tmp_path / "tiny", hidden_size="64", num_attention_heads=-4, num_hidden_layers=True))
    assert (model.embedding, model.heads, model.layers) == (0, 0, 0)


def split(folder: Path, count: int = 3) -> list[Path]:
    """A GGUF in shards: the whole one, then shards without tensors of their own."""
    paths = [folder / f"m-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    for number, path in enumerate(paths):
        write_tiny_gguf(path, Shape(layers=1, seed=number))
    return paths


def test_shards(tmp_path: Path) -> None:
    paths = split(tmp_path)
    model = read(paths[1])
    assert model.path == paths[0]
    assert model.files == tuple(paths)
    assert {tensor.file for tensor in model.tensors} == {path.name for path in paths}
    assert read(tmp_path).path == paths[0]


def test_missing_shards_are_named(tmp_path: Path) -> None:
    paths = split(tmp_path)
    paths[1].unlink()
    with pytest.raises(faults.MissingShards, match="m-00002-of-00003"):
        read(paths[0])


def test_a_shard_under_another_name(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(faults.RenamedShard, match="one of 3") as caught:
        read(tmp_path / "model.gguf")
    assert "NAME-00001-of-00003.gguf" in caught.value.advice("en")


def test_missing_safetensors_shards_are_named(tmp_path: Path) -> None:
    folder = write_sharded(tmp_path / "tiny")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(faults.MissingShards, match="model-00002-of-00002"):
        read(folder)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", faults.EmptyFile),
        (b"GG", faults.HeaderCut),
        (b"<!DOCTYPE html><html>", faults.HtmlPage),
        (b"\n  <html><head>", faults.HtmlPage),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", faults.LfsPointer),
        (b"PK\x03\x04 archive/data.pkl", faults.ZipArchive),
        (b"\x80\x02}q\x00X", faults.PickleFile),
        (b"PJSEAL\x00\x01rest", faults.SealedFile),
        (b"tjgg\x03\x00\x00\x00", faults.OldFormat),
        (b"FUGG\x00\x00\x00\x03", faults.WrongByteOrder),
        (b"\x7fELF\x02\x01", faults.NotAModel),
        (b"just some text", faults.NotAModel),
    ],
)
@pytest.mark.parametrize("name", ["model.gguf", "model.safetensors", "model"])
def test_what_is_no_model_says_what_it_is(tmp_path: Path, content: bytes, fault: type[PenjingError], name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(fault) as caught:
        read(path)
    assert type(caught.value) is fault
    assert str(path) in caught.value.message("zh")
    assert caught.value.advice("zh") != caught.value.advice("en")


def test_a_gguf_under_another_name(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "model.gguf")
    assert read(path.rename(tmp_path / "model.bin")).format == "gguf"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        read(tmp_path / "none.gguf")
    with pytest.raises(faults.NoWeights):
        read(tmp_path)


def test_no_config(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    (folder / "config.json").unlink()
    with pytest.raises(faults.NoConfig):
        read(folder)
    with pytest.raises(faults.NoConfig):
        read(folder / "model.safetensors")


def test_only_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "base"}')
    with pytest.raises(faults.OnlyAnAdapter, match="base"):
        read(tmp_path)


def test_only_pickles(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    with pytest.raises(faults.PickleFile, match=r"pytorch_model\.bin"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a":' + b"[" * 100_000])
def test_damaged_config(tmp_path: Path, content: bytes) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(faults.DamagedConfig):
        read(folder)


@pytest.mark.parametrize("index", ['{"weight_map": {"a": "../other.safetensors"}}', '{"weight_map": [1]}', "{}"])
def test_index_that_leads_nowhere(tmp_path: Path, index: str) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(faults.DamagedConfig):
        read(folder)


def test_several_models_in_a_folder(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "a.gguf")
    assert read(tmp_path).path.name == "a.gguf"
    (tmp_path / "config.json").write_text("{}")  # some repositories of GGUF files carry one
    assert read(tmp_path).path.name == "a.gguf"
    write_tiny_gguf(tmp_path / "b.gguf")
    with pytest.raises(faults.ManyModels, match=r"a\.gguf, b\.gguf"):
        read(tmp_path)
