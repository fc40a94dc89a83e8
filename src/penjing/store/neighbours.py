"""Models that other programs on this machine keep: Hugging Face's cache, ModelScope's, Ollama, LM Studio.

Where they are: huggingface_hub `constants.py` (HF_HUB_CACHE, HF_HOME) and docs/hub "Manage the cache" (models--*/blobs,
refs, snapshots); modelscope 1.40 `hub/utils/utils.py` and modelscope_hub 0.5 `_download.py` (MODELSCOPE_CACHE); Ollama
`envconfig` (OLLAMA_MODELS) and `types/model/name.go` (manifests/HOST/NAMESPACE/NAME/TAG, blobs/sha256-*); LM Studio's
docs, "Import models" (models/PUBLISHER/MODEL/FILE) and `settings.json`.

Does not know: penjing's store. Nothing there is changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from penjing.probe.faults import CannotOpen
from penjing.sources import huggingface
from penjing.sources.names import Reference
from penjing.sources.source import Listing, RemoteFile
from penjing.sources.variants import Variant, variants

OLLAMA_SYSTEM = (Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/models"))
LICENCE = re.compile(r"^license:\s*([^\s#]+)", re.MULTILINE)
REGISTRY, LIBRARY = "registry.ollama.ai", "library"
MODEL, PROJECTOR = "application/vnd.ollama.image.model", "application/vnd.ollama.image.projector"
LICENSE = "application/vnd.ollama.image.license"
LONGEST_PAGE = 1 << 20
BESIDE = ("models", "datasets")
"""Folders in ModelScope's cache that are no owners."""
WEIGHTS = ("*.gguf", "*.safetensors")


@dataclass(frozen=True)
class Found:
    """One model of a neighbour's: `owner` is `huggingface`, `modelscope`, `ollama`, `lmstudio`, or `folder` for one
    that a person names; `name` how it is called there; `files` by the path each would have in a store; `source` where
    the neighbour got it."""

    owner: str
    name: str
    label: str
    files: tuple[tuple[str, Path], ...]
    bytes: int
    licence: str = ""
    source: str = ""


def found() -> Iterator[Found]:
    """Everything that neighbours keep whole."""
    yield from of_huggingface(huggingface_cache())
    for folder in modelscope_folders():
        yield from of_modelscope(folder)
    for folder in ollama_folders():
        yield from of_ollama(folder)
    for folder in lmstudio_folders():
        yield from of_lmstudio(folder)


def within(folder: Path) -> Iterator[Found]:
    """Everything in a folder that a neighbour used, or that has models in folders of any kind. Raises CannotOpen."""
    if not folder.is_dir():
        raise CannotOpen(path=str(folder), detail="it is not a folder")
    known = [
        *of_huggingface(folder),
        *of_huggingface(folder / "hub"),
        *of_ollama(folder),
        *of_ollama(folder / "models"),
    ]
    if known:
        yield from known
        return
    inside = {path.parent for kind in WEIGHTS for path in folder.rglob(kind)}
    for place in sorted(inside):
        if not any(step.startswith(".") for step in place.relative_to(folder).parts):
            for variant in _variants(place, "*"):
                yield _of("folder", _named(folder, place, variant), variant, "", "")


def _named(folder: Path, place: Path, variant: Variant) -> str:
    """OWNER/REPO where the folders say so, else the file's name."""
    steps = place.relative_to(folder.parent).parts
    if variant.kind == "gguf" and len(steps) < 3:
        return Path(variant.files[0].path).stem
    return "/".join(steps[-2:]) if len(steps) > 2 else steps[-1]


def by_digest(sha256: str, size: int) -> Path | None:
    """A neighbour's file that says it has this content; whoever takes it checks that."""
    cache = huggingface_cache()
    blobs = [folder / "blobs" / sha256 for folder in cache.glob("models--*")] if cache.is_dir() else []
    blobs += [folder / "blobs" / f"sha256-{sha256}" for folder in ollama_folders()]
    return next((path for path in blobs if _size(path) == size), None)


def huggingface_cache() -> Path:
    """HF_HUB_CACHE, else `hub` in the official tools' home."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or ""
    return Path(os.path.expandvars(given)).expanduser() if given else huggingface.home() / "hub"


def ollama_folders() -> list[Path]:
    """OLLAMA_MODELS, else the person's own folder and those of a system service, as far as they are there."""
    given = os.environ.get("OLLAMA_MODELS", "")
    places = (Path(given).expanduser(),) if given else (Path("~/.ollama/models").expanduser(), *OLLAMA_SYSTEM)
    return [place for place in places if _is_folder(place / "manifests")]


def lmstudio_folders() -> list[Path]:
    """The folder its settings name, else the ones it has used."""
    home = Path("~/.lmstudio").expanduser()
    pointer = Path("~/.lmstudio-home-pointer").expanduser()
    if pointer.is_file():
        home = Path(pointer.read_text(encoding="utf-8").strip())
    settings = _json(home / "settings.json")
    named = settings.get("downloadsFolder")
    places = [Path(named)] if isinstance(named, str) and named else []
    places += [home / "models", Path("~/.cache/lm-studio/models").expanduser()]
    return [place for place in dict.fromkeys(places) if _is_folder(place)]


def of_huggingface(cache: Path) -> Iterator[Found]:
    """Of each repository the newest snapshot that `main` names, or the newest there is."""
    for folder in sorted(cache.glob("models--*")):
        snapshot = _snapshot(folder)
        if snapshot is None:
            continue
        name = folder.name.removeprefix("models--").replace("--", "/")
        readme = _text(snapshot / "README.md")
        licence = LICENCE.search(readme.partition("\n---")[0]) if readme.startswith("---") else None
        for variant in _variants(snapshot):
            source = f"hf:{name}@{snapshot.name}"
            yield _of("huggingface", name, variant, licence[1].strip("\"'") if licence else "", source)


def of_lmstudio(models: Path) -> Iterator[Found]:
    """PUBLISHER/MODEL folders."""
    for folder in sorted(models.glob("*/*")):
        if folder.is_dir():
            for variant in _variants(folder):
                yield _of("lmstudio", f"{folder.parent.name}/{folder.name}", variant, "", "")


def modelscope_folders() -> list[Path]:
    """`models` in MODELSCOPE_CACHE, else in the cache folder; older versions put `hub` between, or had no `models`."""
    given = os.environ.get("MODELSCOPE_CACHE", "")
    root = Path(given).expanduser() if given else Path("~/.cache/modelscope").expanduser()
    return [place for place in (root / "models", root / "hub" / "models", root / "hub") if _is_folder(place)]


def of_modelscope(models: Path) -> Iterator[Found]:
    """OWNER--REPO/snapshots/REVISION; older: OWNER/REPO, in whose names `___` stands for a dot."""
    places = {
        folder.name.replace("--", "/", 1): snapshot
        for folder in sorted(models.glob("*--*"))
        if (snapshot := _snapshot(folder, "master"))
    }
    for folder in sorted(models.glob("*/*")):
        if folder.is_dir() and "--" not in folder.parent.name and folder.parent.name not in BESIDE:
            places[f"{folder.parent.name}/{folder.name.replace('___', '.')}"] = folder
    for name, folder in places.items():
        for variant in _variants(folder):
            yield _of("modelscope", name, variant, "", f"ms:{name}")


def of_ollama(models: Path) -> Iterator[Found]:
    """Manifests whose model is one GGUF blob that is here; others (of many tensors, or elsewhere) are left out."""
    for path in sorted((models / "manifests").glob("*/*/*/*")):
        layers = _json(path).get("layers")
        if not isinstance(layers, list):
            continue
        blobs: dict[str, list[Path]] = {}
        for layer in layers:
            if isinstance(layer, dict):
                digest = str(layer.get("digest", "")).replace(":", "-", 1)
                blobs.setdefault(str(layer.get("mediaType")), []).append(models / "blobs" / digest)
        weights, projectors = blobs.get(MODEL, []), blobs.get(PROJECTOR, [])
        if len(weights) != 1 or not all(_size(blob) > 0 for blob in (*weights, *projectors)):
            continue
        host, owner, name, tag = path.relative_to(models / "manifests").parts
        place = name if (host, owner) == (REGISTRY, LIBRARY) else f"{owner}/{name}"
        files = [(f"{name}-{tag}.gguf", weights[0])]
        files += [(f"mmproj-{name}-{tag}-{number}.gguf", blob) for number, blob in enumerate(projectors)]
        licence = next((line.strip() for line in _text(*blobs.get(LICENSE, [])).splitlines() if line.strip()), "")
        size = sum(_size(blob) for _, blob in files)
        source = f"{host}/{owner}/{name}:{tag}"
        yield Found("ollama", f"{place}:{tag}", tag, tuple(files), size, licence[:80], source)


def _of(owner: str, name: str, variant: Variant, licence: str, source: str) -> Found:
    files = tuple((file.path, Path(file.url)) for file in (*variant.files, *variant.beside))
    return Found(owner, name, variant.label, files, variant.total, licence, source)


def _variants(folder: Path, pattern: str = "**/*") -> Sequence[Variant]:
    """The models in a folder (files that `pattern` matches), whose links lead to the content."""
    listed = [
        RemoteFile(path.relative_to(folder).as_posix(), _size(path), str(path.resolve()))
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    ]
    return variants(Listing(Reference("file", str(folder)), "", tuple(listed)))


def _snapshot(folder: Path, branch: str = "") -> Path | None:
    """What `main` names, or `branch` where snapshots are called so, else the newest."""
    main = folder / "snapshots" / (branch or _text(folder / "refs" / "main").strip() or "-")
    if main.is_dir():
        return main
    others = [path for path in (folder / "snapshots").glob("*") if path.is_dir()]
    return max(others, key=lambda path: path.stat().st_mtime, default=None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # not there, or somebody else's
        return -1


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # somebody else's
        return False


def _text(*paths: Path) -> str:
    """The first page, empty where it cannot be read."""
    try:
        return paths[0].read_bytes()[:LONGEST_PAGE].decode("utf-8", "replace") if paths else ""
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):  # no settings, or none that can be read
        return {}
