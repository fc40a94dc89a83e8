from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from penjing import manifest as manifests
from penjing.errors import ModelCorrupt
from penjing.manifest import Manifest
from penjing.store.resolve import guide
from penjing.store.trust import admit, book, digests, keys
from penjing.store.trust.admit import Subject, Verdict
from penjing.store.trust.faults import Altered, Distrusted, KeyDamaged, KeyNameTaken, NoSuchKey, UnknownSigner, Unsigned
from penjing.store.trust.sign import identity, signed

HUB = "hub:http://hub.example"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that is signed by a key trusted here."""
    made = tmp_path / "model"
    made.mkdir()
    (made / "model.gguf").write_bytes(b"GGUF" * 5000)
    (made / "notes.txt").write_bytes(b"not loaded")
    entries = tuple(manifests.describe(made / name, made) for name in ("notes.txt", "model.gguf"))
    key = keys.make("maker")
    book.add("maker", key.public)
    manifests.save(signed(Manifest(name="qwen3", version="1", files=entries, quality={"ppl": 3.25}), key), made)
    return made


def judged(path: Path, *, known: bool = True) -> Verdict:
    return admit.judge(admit.subject(path), known=known)


def test_a_signed_model(folder: Path) -> None:
    assert judged(folder / "model.gguf") == Verdict("signed", ("maker",))
    admit.admit(admit.subject(folder / "model.gguf"), require=True)


def test_the_signature_is_of_what_the_store_writes(folder: Path) -> None:
    """The store puts names in lower case and files in order; a manifest that went through it is signed still."""
    before = manifests.load(folder)
    after = msgspec.structs.replace(before, name="qwen3", files=tuple(reversed(before.files)))
    assert identity(before) == identity(after) == identity(msgspec.structs.replace(after, name="QWEN3"))
    manifests.save(after, folder)
    assert judged(folder / "model.gguf").state == "signed"


@pytest.mark.parametrize("member", ["licence", "parent", "version", "name"])
def test_a_manifest_that_was_changed(folder: Path, member: str) -> None:
    found = msgspec.structs.replace(manifests.load(folder), **{member: "other"})
    manifests.save(found, folder)
    with pytest.raises(Altered, match=r"manifest\.json: the signature of maker"):
        admit.admit(admit.subject(folder / "model.gguf"), require=False)


def test_files_that_were_changed(folder: Path) -> None:
    path = folder / "model.gguf"
    path.write_bytes(b"GGUF" * 4999)
    with pytest.raises(Altered, match="19996 bytes instead of 20000"):
        admit.admit(admit.subject(path), require=False)
    path.write_bytes(b"GGUf" * 5000)
    with pytest.raises(Altered, match="its SHA-256 is"):
        admit.admit(admit.subject(path), require=False)
    told: list[Distrusted] = []
    assert admit.admit(admit.subject(path), allow=told.append).state == "altered"
    assert [type(each) for each in told] == [Altered]
    path.unlink()
    path.mkdir()
    assert admit.judge(Subject("m", folder, manifests.load(folder), ("model.gguf",))).detail == "it is missing"


def test_what_is_remembered_and_what_is_read_again(folder: Path) -> None:
    path = folder / "model.gguf"
    assert judged(path).state == "signed"
    facts = path.stat()
    with path.open("r+b") as stream:  # the content, its size and time of change as they were
        stream.write(b"GGUf")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert judged(path).state == "altered"  # its inode changed
    remembered = {str(path): digests.Remembered(digests.stamp(path), manifests.load(folder).files[1].sha256)}
    (folder.parent / "home" / "trust" / "digests.json").write_bytes(msgspec.json.encode(remembered))
    assert judged(path).state == "signed"  # who can forge that has this machine
    assert judged(path, known=False).state == "altered"


def test_reading_happens_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[float] = []
    subject = admit.subject(folder / "model.gguf")
    admit.admit(subject, report=lambda progress: said.append(progress.fraction))
    admit.admit(subject, report=lambda progress: said.append(progress.fraction))
    assert said == [1.0]


def test_files_of_one_s_own(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    assert admit.admit(admit.subject(own)).state == "none"
    with pytest.raises(Unsigned, match=r"\[trust\] require"):
        admit.admit(admit.subject(own), require=True)
    told: list[Distrusted] = []
    assert admit.admit(admit.subject(own), require=True, allow=told.append).state == "none"
    assert [type(each) for each in told] == [Unsigned]


def test_the_built_in_model_loads_under_its_manifest() -> None:
    assert admit.admit(admit.subject(guide())).state == "unsigned"


def test_what_came_from_a_hub(folder: Path) -> None:
    admit.mark(folder, HUB)
    subject = admit.subject(folder / "model.gguf")
    assert subject.origin == HUB
    admit.admit(subject)
    manifests.save(msgspec.structs.replace(manifests.load(folder), signatures=()), folder)
    with pytest.raises(Unsigned, match=r"hub\.example"):
        admit.admit(admit.subject(folder / "model.gguf"))
    assert admit.admit(admit.subject(folder / "model.gguf"), require=False).state == "unsigned"
    (folder / manifests.NAME).unlink()
    with pytest.raises(Unsigned):
        admit.admit(admit.subject(folder / "model.gguf"))


def test_keys_count_for_what_they_are_trusted_for(folder: Path) -> None:
    admit.mark(folder, HUB)
    book.add("maker", keys.load("maker").public, ["llama*", "QWEN3*"])
    assert judged(folder / "model.gguf").state == "signed"
    book.add("maker", keys.load("maker").public, ["llama*"])
    with pytest.raises(UnknownSigner, match=keys.load("maker").public.id):
        admit.admit(admit.subject(folder / "model.gguf"))
    book.remove("maker")
    assert judged(folder / "model.gguf").state == "unknown"
    with pytest.raises(NoSuchKey):
        book.remove("maker")


def test_two_signatures(folder: Path) -> None:
    other = keys.make("other")
    both = signed(manifests.load(folder), other)
    manifests.save(both, folder)
    assert judged(folder / "model.gguf").signers == ("maker",)
    book.add("other", other.public)
    assert judged(folder / "model.gguf").signers == ("maker", "other")
    assert len(signed(both, other).signatures) == 2


def test_a_manifest_beside_one_file(folder: Path, tmp_path: Path) -> None:
    good = tmp_path / "loose.gguf"
    shutil.copy(folder / "model.gguf", good)
    key = keys.load("maker")
    own = signed(Manifest(name="loose", version="1", files=(manifests.describe(good, tmp_path),)), key)
    beside = good.with_name(good.name + admit.BESIDE)
    beside.write_bytes(msgspec.json.encode(own))
    assert judged(good).state == "signed"
    evil = tmp_path / "evil.gguf"
    evil.write_bytes(b"GGUF" * 7)
    shutil.copy(beside, evil.with_name(evil.name + admit.BESIDE))  # a good manifest beside a bad file
    assert judged(evil).state == "none"
    with pytest.raises(Unsigned):
        admit.admit(admit.subject(evil), require=True)
    beside.write_bytes(b"{")
    with pytest.raises(ModelCorrupt):
        judged(good)


def test_a_folder_with_a_file_too_many(folder: Path) -> None:
    assert judged(folder).state == "signed"
    (folder / "tokenizer.json").write_bytes(b"{}")
    assert judged(folder) == Verdict("altered", ("maker",), "tokenizer.json", "it is not in the manifest")


def test_a_shard_that_nobody_signed(folder: Path) -> None:
    first = folder / "big-00001-of-00002.gguf"
    (folder / "model.gguf").rename(first)
    entries = (manifests.describe(first, folder),)
    manifests.save(signed(Manifest(name="big", version="1", files=entries), keys.load("maker")), folder)
    (folder / "big-00002-of-00002.gguf").write_bytes(b"GGUF")
    assert judged(first).path == "big-00002-of-00002.gguf"


def test_a_damaged_list_of_keys(folder: Path) -> None:
    for content in (b"{", b'[{"name": "x", "key": "y"}]', b"\xff"):
        book.path().write_bytes(content)
        with pytest.raises(KeyDamaged, match=r"trusted\.json"):
            judged(folder / "model.gguf")


def test_names_of_keys_are_theirs(folder: Path) -> None:
    with pytest.raises(KeyNameTaken):
        book.add("maker", keys.make("other").public)
