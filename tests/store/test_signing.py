"""Signing files, folders and versions; what may be loaded by the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from penjing import manifest as manifests
from penjing.manifest import Manifest
from penjing.store import admitting, signing
from penjing.store.faults import NotAsItsManifest
from penjing.store.trust import admit, book, keys
from penjing.store.trust.admit import mark
from penjing.store.trust.faults import Altered, Distrusted, NothingToSign, PolicyOfAFolder, UnknownSigner, Unsigned
from penjing.store.trust.keys import SigningKey
from penjing.store.versions import Store
from tiny_checkpoint import write_checkpoint
from tiny_model import write_tiny_gguf

HUB = "hub:http://hub.example"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def key() -> SigningKey:
    made = keys.make("maker")
    book.add("maker", made.public)
    return made


def test_a_file_has_its_manifest_beside_it(tmp_path: Path, key: SigningKey) -> None:
    model = write_tiny_gguf(tmp_path / "My Model.gguf")
    place = signing.sign_path(model, key)
    assert place.name == "My Model.gguf.manifest.json"
    assert admit.judge(admit.subject(model)).state == "signed"
    assert signing.sign_path(model, keys.make("second")) == place
    described = admit.subject(model).manifest
    assert described is not None
    assert (described.name, len(described.signatures), described.files[0].path) == ("my-model", 2, model.name)
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(NotAsItsManifest, match="its SHA-256 is"):
        signing.sign_path(model, key)


def test_a_folder(tmp_path: Path, key: SigningKey) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint")
    assert signing.sign_path(folder, key) == folder / manifests.NAME
    assert admit.judge(admit.subject(folder)).state == "signed"
    (folder / "config.json").write_text("{}")
    assert admit.judge(admit.subject(folder)).state == "altered"


def test_nothing_to_sign(tmp_path: Path, key: SigningKey) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "no.gguf"):
        with pytest.raises(NothingToSign):
            signing.sign_path(path, key)


def test_a_version_from_a_hub_wherever_in_it_its_file_lies(tmp_path: Path, key: SigningKey) -> None:
    """A file in a folder of its own must not be taken for somebody's own file."""
    store = Store()
    model = write_tiny_gguf(tmp_path / "a.gguf")
    version = store.add({"deep/a.gguf": model}, Manifest(name="mine", version="1"))
    mark(version.folder, HUB)
    with pytest.raises(Unsigned, match="mine@1"):
        admitting.require_admitted(admitting.of_version(version))
    signing.sign_version(store, version, key)
    (again,) = store.versions("mine")
    assert admitting.require_admitted(admitting.of_version(again)).signers == ("maker",)
    assert again.digest == version.digest
    book.remove("maker")
    told: list[Distrusted] = []
    admitting.require_admitted(admitting.of_version(again), told.append)
    assert [type(each) for each in told] == [UnknownSigner]


def test_an_altered_version_is_not_signed(tmp_path: Path, key: SigningKey) -> None:
    store = Store()
    version = store.add({"a.gguf": write_tiny_gguf(tmp_path / "a.gguf")}, Manifest(name="mine", version="1"))
    signing.sign_version(store, version, key)
    (version,) = store.versions("mine")
    content = bytearray(version.path.read_bytes())
    content[-1] ^= 1
    version.path.chmod(0o600)
    version.path.write_bytes(content)
    with pytest.raises(NotAsItsManifest):
        signing.sign_version(store, version, key)
    with pytest.raises(Altered):
        admitting.require_admitted(admitting.of_version(version))


def test_whose_settings_count(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert admitting.policy().require is None
    (tmp_path / "penjing.toml").write_text("[trust]\nrequire = false\n")
    with pytest.raises(PolicyOfAFolder):
        admitting.policy()
    (tmp_path / "penjing.toml").write_text("[trust]\nrequire = true\n")
    assert admitting.policy().require is True
    monkeypatch.setenv("PENJING_TRUST_REQUIRE", "false")
    assert admitting.policy().require is False
