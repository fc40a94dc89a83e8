"""Models of other programs, in the folders those really write."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from penjing.manifest import Manifest
from penjing.probe.faults import CannotOpen
from penjing.store import adopt as adopting
from penjing.store import neighbours
from penjing.store.adopt import KeptTwice, NotKept, adopt, adopted, chosen, spelled
from penjing.store.faults import ReferredGone
from penjing.store.neighbours import Found, found, within
from penjing.store.resolve import resolve
from penjing.store.versions import Store
from tiny_checkpoint import write_checkpoint
from tiny_model import Shape, write_tiny_gguf

VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "OLLAMA_MODELS", "MODELSCOPE_CACHE", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "penjing"))
    monkeypatch.setattr(neighbours, "OLLAMA_SYSTEM", ())
    return tmp_path


def huggingface(cache: Path, name: str, files: dict[str, bytes], commit: str = "c" * 40, main: bool = True) -> None:
    """As huggingface_hub keeps a repository: blobs by digest, snapshots of links to them."""
    folder = cache / f"models--{name.replace('/', '--')}"
    for path, content in files.items():
        large = path.endswith((".gguf", ".safetensors"))
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        blob = folder / "blobs" / (hashlib.sha256(content).hexdigest() if large else git)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = folder / "snapshots" / commit / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    if main:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)


def ollama(models: Path, name: str, content: bytes, licence: str = "MIT License\n\nCopyright") -> Path:
    """As Ollama keeps a model; returns its blob."""
    layers = []
    for kind, body in (("model", content), ("template", b"{{ .Prompt }}"), ("license", licence.encode())):
        digest = hashlib.sha256(body).hexdigest()
        blob = models / "blobs" / f"sha256-{digest}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(body)
        media = f"application/vnd.ollama.image.{kind}"
        layers.append({"mediaType": media, "digest": f"sha256:{digest}", "size": len(body)})
    path = models / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:" + "0" * 64, "size": 1}
    path.write_text(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}))
    return models / "blobs" / layers[0]["digest"].replace(":", "-")


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_tiny_gguf(tmp_path / "w.gguf").read_bytes()


@pytest.fixture
def everybody(person: Path, weights: bytes) -> list[Found]:
    """One model or two of each neighbour."""
    card = b"---\nlicense: apache-2.0\ntags: [x]\n---\n# license: none\n"
    cache = person / ".cache" / "huggingface" / "hub"
    huggingface(cache, "o/r-GGUF", {"r-Q8_0.gguf": weights, "r-Q4_0.gguf": weights, "README.md": card})
    checkpoint = write_checkpoint(person / "checkpoint")
    huggingface(cache, "o/c", {path.name: path.read_bytes() for path in checkpoint.iterdir()}, main=False)
    ollama(person / ".ollama" / "models", "registry.ollama.ai/library/qwen3/4b", weights)
    ollama(person / ".ollama" / "models", "hf.co/bob/Tiny-GGUF/Q8_0", weights)
    studio = person / ".lmstudio" / "models" / "pub" / "Tiny-GGUF"
    studio.mkdir(parents=True)
    (studio / "Tiny-Q8_0.gguf").write_bytes(weights)
    (studio / "Tiny-F16.gguf.part").write_bytes(b"half")
    scope = person / ".cache" / "modelscope" / "hub" / "models"
    for name in ("Qwen/Qwen2___5-0___5B", "Qwen--Qwen3/snapshots/master"):
        (scope / name).mkdir(parents=True)
        (scope / name / "m-Q8_0.gguf").write_bytes(weights)
    return list(found())


def test_what_everybody_keeps(everybody: list[Found]) -> None:
    assert {(each.owner, spelled(each), each.licence) for each in everybody} == {
        ("huggingface", "o/r-GGUF:Q8_0", "apache-2.0"),
        ("huggingface", "o/r-GGUF:Q4_0", "apache-2.0"),
        ("huggingface", "o/c:safetensors", ""),
        ("modelscope", "Qwen/Qwen2.5-0.5B:Q8_0", ""),
        ("modelscope", "Qwen/Qwen3:Q8_0", ""),
        ("ollama", "qwen3:4b", "MIT License"),
        ("ollama", "bob/Tiny-GGUF:Q8_0", "MIT License"),
        ("lmstudio", "pub/Tiny-GGUF:Q8_0", ""),
    }


@pytest.mark.parametrize("name", ["o/r-GGUF:Q8_0", "o/c", "qwen3:4b", "PUB/tiny-gguf", "Qwen/Qwen2.5-0.5B"])
def test_adopted_and_loaded_without_a_copy(everybody: list[Found], name: str) -> None:
    store, wanted = Store(), chosen(everybody, name)
    assert adopted(store.versions(), wanted) is None
    kept = adopt(store, wanted)
    for path, original in wanted.files:
        assert (kept.folder / path).samefile(original)
    assert adopted(store.versions(), wanted) == kept
    assert adopt(store, wanted) == kept
    assert resolve(spelled(wanted) if kept.path.suffix == ".gguf" else kept.name).path.is_file()
    assert kept.manifest.recipe["adopted from"] == wanted.owner


def test_it_stays_when_the_other_program_removes_its_own(person: Path, weights: bytes) -> None:
    blob = ollama(person / ".ollama" / "models", "registry.ollama.ai/library/qwen3/4b", weights)
    kept = adopt(Store(), chosen(list(found()), "qwen3:4b"))
    blob.unlink()
    assert resolve("qwen3:4b").path.read_bytes() == weights
    assert Store().verify() == []
    assert kept.manifest.facts["architecture"] == "llama"
    assert list(found()) == []


def test_on_another_disk_it_is_referred_to_and_a_loss_is_said(
    person: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopting, "linkable", lambda folder, files: False)
    blob = ollama(person / ".ollama" / "models", "registry.ollama.ai/library/qwen3/4b", weights)
    store = Store()
    kept = adopt(store, chosen(list(found()), "qwen3:4b"))
    assert kept.path.is_symlink()
    assert resolve("qwen3:4b").path.read_bytes() == weights
    away = blob.rename(blob.with_suffix(".away"))
    with pytest.raises(ReferredGone, match=blob.name) as refused:
        resolve("qwen3:4b")
    assert "penjing store rm qwen3@1" in refused.value.advice("en")
    assert store.verify()
    away.rename(blob)
    assert store.verify() == []
    blob.write_bytes(b"another")
    with pytest.raises(ReferredGone):
        resolve("qwen3:4b")
    blob.unlink()
    store.remove(kept)
    assert store.versions() == []


def test_what_others_keep_is_not_counted_on_when_versions_rest(
    person: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    for number in range(2):
        path = write_tiny_gguf(person / f"{number}.gguf", Shape(seed=number))
        store.add({"m.gguf": path}, Manifest(name="mine", version=""), taking="move")
    first = store.find("mine@1").path.read_bytes()
    monkeypatch.setattr(adopting, "linkable", lambda folder, files: False)
    blob = ollama(person / ".ollama" / "models", "registry.ollama.ai/library/other/1b", first)
    adopt(store, chosen(list(found()), "other"))
    store.gc()
    blob.unlink()
    assert store.path(store.find("mine@1")).read_bytes() == first


@pytest.mark.parametrize(("name", "error"), [("o/r-GGUF", KeptTwice), ("nothing", NotKept), ("qwen3:8b", NotKept)])
def test_a_name_that_means_nothing_or_two(everybody: list[Found], name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        chosen(everybody, name)


def test_a_folder_of_ones_own(person: Path, weights: bytes) -> None:
    folder = person / "disk"
    (folder / "owner" / "repo").mkdir(parents=True)
    (folder / "owner" / "repo" / "x-Q8_0.gguf").write_bytes(weights)
    (folder / "lone-Q4_0.gguf").write_bytes(weights)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "y.gguf").write_bytes(weights)
    write_checkpoint(folder / "checkpoint")
    names = {each.name: each for each in within(folder)}
    assert set(names) == {"owner/repo", "lone-Q4_0", "checkpoint"}
    ollama(folder / "models", "registry.ollama.ai/library/a/1b", weights)
    assert [spelled(each) for each in within(folder)] == ["a:1b"]
    with pytest.raises(CannotOpen):
        list(within(person / "nowhere"))


def test_what_is_damaged_or_cut_short_at_a_neighbour_is_left_out(person: Path, weights: bytes) -> None:
    models = person / ".ollama" / "models"
    ollama(models, "registry.ollama.ai/library/gone/1b", weights).unlink()
    (models / "manifests" / "registry.ollama.ai" / "library" / "odd").mkdir()
    (models / "manifests" / "registry.ollama.ai" / "library" / "odd" / "1b").write_bytes(b"\xff{")
    cache = person / ".cache" / "huggingface" / "hub"
    huggingface(cache, "o/cut", {"config.json": b"{}", "model-00001-of-00002.safetensors": b"x"})
    huggingface(cache, "o/shards", {"m-00001-of-00002.gguf": weights})
    assert list(found()) == []


def test_where_neighbours_were_told_to_keep_theirs(
    person: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface(person / "hf", "o/r", {"r-Q8_0.gguf": weights})
    ollama(person / "ol", "registry.ollama.ai/library/a/1b", weights)
    (person / "ms" / "models" / "o" / "m").mkdir(parents=True)
    (person / "ms" / "models" / "o" / "m" / "m-Q8_0.gguf").write_bytes(weights)
    (person / "elsewhere").mkdir()
    (person / ".lmstudio-home-pointer").write_text(str(person / "elsewhere") + "\n")
    (person / "elsewhere" / "settings.json").write_text(json.dumps({"downloadsFolder": str(person / "lm")}))
    (person / "lm" / "p" / "m").mkdir(parents=True)
    (person / "lm" / "p" / "m" / "m-Q8_0.gguf").write_bytes(weights)
    monkeypatch.setenv("HF_HUB_CACHE", str(person / "hf"))
    monkeypatch.setenv("OLLAMA_MODELS", str(person / "ol"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(person / "ms"))
    assert [each.owner for each in found()] == ["huggingface", "modelscope", "ollama", "lmstudio"]
