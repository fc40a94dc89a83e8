"""Versions and files are sealed where they are kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from penjing.manifest import Manifest
from penjing.progress import Progress
from penjing.store.faults import InUse
from penjing.store.lease import Lease
from penjing.store.seal import keys
from penjing.store.seal.faults import KeyChanges
from penjing.store.seal.form import is_sealed
from penjing.store.seal.keys import SealSettings
from penjing.store.seal.opening import open_sealed
from penjing.store.sealed import Lock, seal_file, seal_version
from penjing.store.version import Version
from penjing.store.versions import Store
from tiny_model import write_tiny_gguf

COMMAND = "echo " + "5a" * 32
MEANS = SealSettings(key_command=COMMAND)
LOCK = Lock((partial(keys.command_slot, COMMAND),), MEANS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plain(store: Store, tmp_path: Path) -> Version:
    model = write_tiny_gguf(tmp_path / "model.gguf")
    manifest = Manifest(name="mine", version="1", licence="mit", facts={"layers": 2})
    found = store.add({model.name: model}, manifest, taking="move")
    store.tag("mine", "stable", found)
    return found


def test_beside_the_plain_one(store: Store, plain: Version, tmp_path: Path) -> None:
    kept = seal_version(store, plain, LOCK)
    assert (str(kept), kept.manifest.parent, kept.manifest.licence) == ("mine@2", plain.digest, "mit")
    assert is_sealed(kept.path)
    open_sealed(kept.path, MEANS).write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == plain.path.read_bytes()
    assert store.find("mine") == plain
    assert store.verify() == []


def test_in_its_place(store: Store, plain: Version) -> None:
    content = plain.path.read_bytes()
    kept = seal_version(store, plain, LOCK, replace=True)
    assert store.versions() == [kept]
    assert store.find("mine:stable") == kept
    assert [path for path in store.root.rglob("*") if path.is_file() and content[-256:] in path.read_bytes()] == []


def test_what_is_used_stays(store: Store, plain: Version) -> None:
    lease = Lease(plain.path)
    with pytest.raises(InUse):
        seal_version(store, plain, LOCK, replace=True)
    lease.end()
    assert [str(each) for each in store.versions()] == ["mine@1", "mine@2"]


def test_a_key_that_changes_leaves_nothing(store: Store, plain: Version, tmp_path: Path) -> None:
    command = "head -c 32 /dev/urandom | base64"
    lock = Lock((partial(keys.command_slot, command),), SealSettings(key_command=command))
    with pytest.raises(KeyChanges):
        seal_version(store, plain, lock, replace=True)
    with pytest.raises(KeyChanges):
        seal_file(plain.path, tmp_path / "x.sealed", lock)
    assert store.versions() == [plain]
    assert not (tmp_path / "x.sealed").exists()


def test_each_way_is_tried(plain: Version, tmp_path: Path) -> None:
    """One that opens must not hide another that does not."""
    (tmp_path / "pw").write_text("right\n")
    ways = (partial(keys.command_slot, COMMAND), partial(keys.passphrase_slot, "wrong"))
    with pytest.raises(KeyChanges, match="passphrase"):
        seal_file(plain.path, tmp_path / "x.sealed", Lock(ways, SealSettings(COMMAND, tmp_path / "pw")))


def test_stopped_in_the_middle(store: Store, plain: Version) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "sealing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_version(store, plain, LOCK, replace=True, report=stop)
    assert store.versions() == [plain]
    assert [path for path in store.staging.iterdir() if path.suffix != ".lock"] == []
