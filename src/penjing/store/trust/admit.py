"""May this model be loaded here? The manifest beside it, its signatures, its files as they are now, and the policy.

    [trust] require = (not set)   what came from a hub must be signed by a key that is trusted here
                      true        everything must be
                      false       nothing must be

What was signed by a trusted key and is something else now is refused under every policy. A file of one's own without a
manifest is nobody's business: it loads.

Does not know: where models are kept, doors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penjing import manifest as manifests
from penjing.errors import ModelCorrupt
from penjing.files import write_whole
from penjing.manifest import Manifest
from penjing.probe.single import SHARD
from penjing.progress import Progress, Report
from penjing.store.trust import book, digests
from penjing.store.trust.faults import Altered, Distrusted, NotSignable, UnknownSigner, Unsigned
from penjing.store.trust.sign import good, message

BESIDE = ".manifest.json"
"""`model.gguf.manifest.json`: the manifest of one file, beside it."""
ORIGIN = "origin"
"""The file in a version's folder that says where it was fetched from; no other machine can write it."""
HUB = "hub:"
PARTS = ("*.safetensors", "*.gguf", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
State = Literal["none", "unsigned", "unknown", "signed", "altered"]
Allow = Callable[[Distrusted], None]
"""Hears why a model would be refused that is loaded all the same."""


@dataclass(frozen=True)
class TrustSettings:
    """Section `[trust]`. `require`: whether models must be signed; where not set, those from a hub."""

    require: bool | None = None


@dataclass(frozen=True)
class Subject:
    """What is to be judged: the files `wanted` in `folder`, all of which `manifest` must list. `model` is what a person
    calls it; `origin` where it was fetched from, "" for a file of one's own."""

    model: str
    folder: Path
    manifest: Manifest | None = None
    wanted: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True)
class Verdict:
    """`signers`: names of trusted keys; of keys that are not trusted, their ids. `path`, `detail`: what is altered."""

    state: State
    signers: tuple[str, ...] = ()
    path: str = ""
    detail: str = ""


def subject(path: Path, model: str = "") -> Subject:
    """The file (with its shards) or the folder at `path`, with the manifest beside or in it. Raises ModelCorrupt for a
    manifest that is none."""
    folder = path if path.is_dir() else path.parent
    beside = path.with_name(path.name + BESIDE)
    found: Manifest | None = None
    if path.is_file() and beside.exists():
        found = _read(beside)
    elif (folder / manifests.NAME).exists():
        found = manifests.load(folder)
    names = {each.path for each in found.files} if found else set()
    if path.is_file() and path.name not in names:  # a manifest of something else
        found = None
    wanted = _shards(path) if path.is_file() else tuple(sorted(names | _read_by_converters(folder)))
    return Subject(model or str(path), folder, found, wanted, origin_of(folder))


def admit(
    subject: Subject, *, allow: Allow | None = None, require: bool | None = None, report: Report | None = None
) -> Verdict:
    """Judge `subject` and refuse it where the policy does; with `allow` that is only told. Raises Altered, Unsigned,
    UnknownSigner."""
    verdict = judge(subject, report=report)
    refusal = refused(subject, verdict, require)
    if refusal is not None:
        if allow is None:
            raise refusal
        allow(refusal)
    return verdict


def refused(subject: Subject, verdict: Verdict, require: bool | None) -> Distrusted | None:
    """The refusal, or None."""
    if verdict.state == "altered":
        return Altered(model=subject.model, path=verdict.path, detail=verdict.detail)
    must = subject.origin.startswith(HUB) if require is None else require
    if verdict.state == "signed" or not must:
        return None
    origin = subject.origin or "[trust] require"
    if verdict.state == "unknown":
        return UnknownSigner(model=subject.model, origin=origin, keys=", ".join(verdict.signers))
    return Unsigned(model=subject.model, origin=origin)


def judge(subject: Subject, *, known: bool = True, report: Report | None = None) -> Verdict:
    """What it is, whatever the policy. Files are read where nothing is remembered of them, or with `known=False`."""
    manifest = subject.manifest
    if manifest is None:
        return Verdict("none")
    if not manifest.signatures:
        return Verdict("unsigned")
    try:
        content = message(manifest)
    except NotSignable as error:
        return Verdict("altered", (), manifests.NAME, str(error))
    trusted = [each for each in book.every() if each.may(manifest.name)]
    keys = {each.public.id: each for each in trusted}
    ours = [each for each in manifest.signatures if each.key in keys]
    if not ours:
        return Verdict("unknown", tuple(each.key for each in manifest.signatures))
    names = tuple(keys[each.key].name for each in ours)
    for each in ours:
        if not good(each, keys[each.key].public, content):
            return Verdict("altered", names, manifests.NAME, f"the signature of {keys[each.key].name} is not of it")
    wrong = differs(subject, known=known, report=report)
    return Verdict("altered", names, *wrong) if wrong else Verdict("signed", names)


def differs(subject: Subject, *, known: bool, report: Report | None) -> tuple[str, str] | None:
    """The first file that is not as its manifest says, and how. Sizes are looked at first: they cost nothing."""
    said = {entry.path: entry for entry in subject.manifest.files} if subject.manifest else {}
    for name in subject.wanted:
        path = subject.folder / name
        if name not in said:
            return name, "it is not in the manifest"
        if not path.is_file():
            return name, "it is missing"
        if path.stat().st_size != said[name].bytes:
            return name, f"{path.stat().st_size} bytes instead of {said[name].bytes}"
    total, done = sum(said[name].bytes for name in subject.wanted), 0

    def tell(read: int) -> None:
        if report is not None:
            report(Progress((done + read) / max(total, 1), "checking"))

    for name in subject.wanted:
        found = digests.digest(subject.folder / name, tell, known=known)
        if found != said[name].sha256:
            return name, f"its SHA-256 is {found}"
        done += said[name].bytes
    return None


def mark(folder: Path, origin: str) -> None:
    """Note in a version's folder where it was fetched from (`hub:URL`)."""
    write_whole(folder / ORIGIN, origin.encode() + b"\n")


def origin_of(folder: Path) -> str:
    """What `mark` noted; "" where nothing is."""
    try:
        return (folder / ORIGIN).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _read(path: Path) -> Manifest:
    import msgspec

    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelCorrupt(path=str(path), detail=str(error)) from error


def _shards(path: Path) -> tuple[str, ...]:
    """The file, and the shards that belong to it."""
    parts = SHARD.match(path.name)
    if parts is None:
        return (path.name,)
    count = int(parts["count"])
    return tuple(f"{parts['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))


def _read_by_converters(folder: Path) -> set[str]:
    """What becomes part of a model that is made of a checkpoint folder."""
    found = {path.name for pattern in PARTS for path in folder.glob(pattern)}
    return found - {manifests.NAME}
