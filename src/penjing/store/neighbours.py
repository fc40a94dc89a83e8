"""Models that other programs on this machine keep: Hugging Face's cache, Ollama, LM Studio.

Where they are: huggingface_hub `constants.py` (HF_HUB_CACHE, HF_HOME) and docs/hub "Manage the cache" (models--*/blobs,
refs, snapshots); Ollama `envconfig` (OLLAMA_MODELS) and `types/model/name.go` (manifests/HOST/NAMESPACE/NAME/TAG,
blobs/sha256-*); LM Studio's docs, "Import models" (models/PUBLISHER/MODEL/FILE) and `settings.json`.

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


@dataclass(frozen=True)
class Found:
    """One model of a neighbour's: `owner` is `huggingface`, `ollama` or `lmstudio`; `name` how it is called there;
    `files` by the path each would have in a store; `source` where the neighbour got it."""

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
    for folder in ollama_folders():
        yield from of_ollama(folder)
    for folder in lmstudio_folders():
        yield from of_lmstudio(folder)


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


def _variants(folder: Path) -> Sequence[Variant]:
    """The models in a folder, whose links lead to the content."""
    listed = [
        RemoteFile(path.relative_to(folder).as_posix(), _size(path), str(path.resolve()))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return variants(Listing(Reference("file", str(folder)), "", tuple(listed)))


def _snapshot(folder: Path) -> Path | None:
    main = folder / "snapshots" / (_text(folder / "refs" / "main").strip() or "-")
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
