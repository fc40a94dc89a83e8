"""The store's verbs on real files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penjing.manifest import File, Manifest, digest
from penjing.probe.faults import CannotOpen
from penjing.store.faults import (
    BadFilePath,
    BadName,
    InUse,
    NearInStore,
    NoFiles,
    NotAsItsManifest,
    NotInStore,
    ReservedTag,
)
from penjing.store.lease import Lease
from penjing.store.version import Version
from penjing.store.versions import Store
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "tiny.gguf")


def add(store: Store, path: Path, name: str = "tiny", **facts: object) -> Version:
    return store.add({path.name: path}, Manifest(name=name, version="", facts=facts))


def test_added_found_and_read(store: Store, tiny: Path) -> None:
    made = add(store, tiny, licence="MIT")
    found = store.find("tiny")
    assert found == made
    assert (found.name, found.number, found.manifest.version) == ("tiny", 1, "1")
    assert found.path.read_bytes() == tiny.read_bytes()
    assert found.path.samefile(tiny)  # not a byte was copied
    assert found.manifest.files == (File("tiny.gguf", tiny.stat().st_size, digest(tiny)),)
    assert [str(each) for each in store.versions()] == ["tiny@1"]
    assert sum(chunk.bytes for chunk in found.cuts().chunks()) == tiny.stat().st_size


def test_the_same_again_is_the_same_version(store: Store, tiny: Path) -> None:
    assert add(store, tiny) == add(store, tiny)
    assert add(store, tiny, quality=1).number == 2


def test_what_a_name_means(store: Store, tmp_path: Path) -> None:
    one, two, three = (
        add(store, write_tiny_gguf(tmp_path / f"{seed}.gguf", Shape(seed=seed)), "Owner/Tiny") for seed in range(3)
    )
    assert store.find("owner/tiny") == store.find("owner/tiny:latest") == three
    store.tag("owner/tiny", "stable", one)
    store.tag("owner/tiny", "Canary", "owner/tiny@2")
    assert store.find("OWNER/tiny") == one
    assert store.find("owner/tiny:stable") == one
    assert store.find("owner/tiny:latest") == three
    assert store.find("owner/tiny:canary") == store.find("owner/tiny@2") == two
    assert store.find(f"owner/tiny@{two.digest[:12]}") == store.find(f"owner/tiny@sha256:{two.digest}") == two
    store.tag("owner/tiny", "stable", None)
    assert store.find("owner/tiny") == three


@pytest.mark.parametrize("text", ["", "a b", "../x", "a/b/c", "x:", "x@", "x@1.5", "x@abc", "x:a@1", ".x", "x/", "-x"])
def test_what_is_no_name(store: Store, text: str) -> None:
    with pytest.raises(BadName):
        store.find(text)


def test_names_near_to_it(store: Store, tiny: Path) -> None:
    with pytest.raises(NotInStore, match="no 'tiny'"):
        store.find("tiny")
    add(store, tiny, "qwen3-0.6b")
    with pytest.raises(NearInStore) as caught:
        store.find("qwen-0.6b")
    assert caught.value.facts["first"] == "qwen3-0.6b"
    with pytest.raises(NearInStore):
        store.find("qwen3-0.6b@2")
    with pytest.raises(NearInStore):
        store.tag("qwen3-0.6b", "old", None)
    with pytest.raises(ReservedTag):
        store.tag("qwen3-0.6b", "latest", "qwen3-0.6b")


def test_removed_with_its_tags(store: Store, tiny: Path) -> None:
    made = add(store, tiny)
    store.tag("tiny", "stable", made)
    store.remove("tiny")
    assert not made.folder.exists()
    assert tiny.exists()
    assert store.tags("tiny") == {}
    with pytest.raises(NotInStore):
        store.remove(made)
    assert add(store, tiny).number == 2  # a number is never given twice


def test_what_is_in_use_stays(store: Store, tiny: Path) -> None:
    made = add(store, tiny)
    lease = Lease(made.path)
    with pytest.raises(InUse):
        store.remove(made)
    lease.end()
    lease.end()
    store.remove(made)
    with pytest.raises(CannotOpen):
        Lease(made.path)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what processes map")
def test_what_somebody_maps_stays(store: Store, tiny: Path) -> None:
    made = add(store, tiny)
    script = "import mmap, sys; f = open(sys.argv[1]); m = mmap.mmap(f.fileno(), 0, prot=1); print(flush=True); input()"
    command = [sys.executable, "-c", script, str(made.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(InUse) as caught:
            store.remove(made)
        assert caught.value.facts["by"] == str(process.pid)
        process.kill()
    store.remove(made)


def test_moved_only_when_it_is_safe(store: Store, tiny: Path) -> None:
    wrong = Manifest(name="tiny", version="1", files=(File("tiny.gguf", 4, "0" * 64),))
    with pytest.raises(NotAsItsManifest):
        store.add({"tiny.gguf": tiny}, wrong, taking="move")
    assert tiny.exists()
    assert list(store.staging.iterdir()) == []
    store.add({"tiny.gguf": tiny}, Manifest(name="tiny", version="1"), taking="move")
    assert not tiny.exists()


def test_other_ways_to_take_a_file(store: Store, tiny: Path) -> None:
    copied = store.add({"a.gguf": tiny}, Manifest(name="copied", version=""), taking="copy")
    assert not copied.path.samefile(tiny)
    assert copied.path.read_bytes() == tiny.read_bytes()
    assert not os.access(copied.path, os.W_OK) or os.geteuid() == 0
    referred = store.add({"b.gguf": tiny}, Manifest(name="referred", version=""), taking="refer")
    assert referred.path.is_symlink()
    assert referred.plain
    store.remove(referred)
    assert tiny.exists()


def test_the_same_file_under_another_name_takes_no_room(store: Store, tiny: Path) -> None:
    first = store.add({"a.gguf": tiny}, Manifest(name="first", version=""), taking="copy")
    second = store.add({"b.gguf": tiny}, Manifest(name="second", version=""), taking="copy")
    assert first.path.samefile(second.path)


def test_a_folder_of_files(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "tokenizer").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer/vocab.txt", "empty"):
        (source / name).write_text(name if name != "empty" else "")
    files = {path.relative_to(source).as_posix(): path for path in source.rglob("*") if path.is_file()}
    made = store.add(files, Manifest(name="folder", version="2.1"))
    assert made.path == made.folder
    assert (made.path / "tokenizer" / "vocab.txt").read_text() == "tokenizer/vocab.txt"
    assert (made.number, made.manifest.version) == (1, "2.1")


@pytest.mark.parametrize(
    "path", ["/a", "../a", "a/../b", "a\\b", "C:a", "", ".", "./a", "manifest.json", "chunks", "a\0"]
)
def test_paths_that_cannot_be(store: Store, tiny: Path, path: str) -> None:
    with pytest.raises(BadFilePath):
        store.add({path: tiny}, Manifest(name="tiny", version=""))


def test_what_cannot_be_added(store: Store, tiny: Path) -> None:
    with pytest.raises(NoFiles):
        store.add({}, Manifest(name="tiny", version=""))
    with pytest.raises(CannotOpen):
        store.add({"a": tiny.parent / "none"}, Manifest(name="tiny", version=""))
    with pytest.raises(BadName):
        store.add({"a": tiny}, Manifest(name="no name", version=""))
    promised = Manifest(name="tiny", version="", files=(File("a", tiny.stat().st_size, digest(tiny)), File("b", 1, "")))
    with pytest.raises(NotAsItsManifest, match="b is missing"):
        store.add({"a": tiny}, promised)


def test_cancelled(store: Store, tiny: Path) -> None:
    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add({"a": tiny}, Manifest(name="tiny", version=""), report=stop)
    assert store.versions() == []
    assert list(store.staging.iterdir()) == []
