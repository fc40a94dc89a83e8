"""From the MODEL a person types to a `.gguf` file an engine can load.

`guide` is the built-in model, a `.gguf` file is itself (or a smaller copy of itself, with `bits`), a checkpoint
folder is converted once into the cache, a sealed file stays sealed, and what is no path is a name in the store
(`NAME`, `NAME:TAG`, `NAME@VERSION`, or the place it was fetched from: `hf:OWNER/REPO`). Whatever it is, nothing is made
of what may not be loaded here (`admitting`).

Does not know: URLs (those are `engines.remote`'s), engines, downloads, keys.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from penjing.errors import ModelNotFound, ModelUnsupported, SettingError
from penjing.files import expanded
from penjing.probe import model as probe
from penjing.probe.facts import Model
from penjing.progress import Report
from penjing.shrink.bits import BITS, SAID
from penjing.store import cache, names
from penjing.store.admitting import of_version, require_admitted
from penjing.store.faults import BadName, NotInStore
from penjing.store.seal.faults import NotWhileSealed
from penjing.store.seal.form import is_sealed
from penjing.store.seal.sealing import SUFFIX
from penjing.store.trust.admit import Allow
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store

GUIDE = "guide"
NEAR = 3
NEAR_ENOUGH = 0.5
DEFAULT_BITS = 16
LABELS = {
    2: ("Q2", "IQ2"),
    3: ("Q3", "IQ3"),
    4: ("Q4", "IQ4"),
    5: ("Q5",),
    6: ("Q6",),
    8: ("Q8",),
    16: ("F16", "BF16"),
    32: ("F32",),
}
HOST_AND_PORT = re.compile(r"[\w.-]+:\d{2,5}(/\S*)?")
PAGES = ("*.json", "*.jinja", "tokenizer.model")
Kind = Literal["guide", "gguf", "checkpoint", "sealed"]


@dataclass(frozen=True)
class Found:
    """As `Resolved`, but nothing is made yet: `make(progress)` makes the file where there is none, and says where; it
    raises what may not be loaded here. `version` is what the store calls it, where it comes from there."""

    name: str
    source: Path
    kind: Kind
    make: Callable[[Report | None], Path]
    version: Version | None = None


@dataclass(frozen=True)
class Resolved:
    """`path` is the file an engine loads (a sealed one: after it was opened), `source` what the person named, `kind`
    what that was."""

    name: str
    path: Path
    source: Path
    kind: Kind


class NoSuchModel(ModelNotFound):
    """A name near to ones that exist. Facts: `model`, `near`, `first`."""

    template = "There is no model '{model}' here. Near it: {near}"
    hint = "Try: penjing chat {first}"


class NotFetched(ModelNotFound):
    """Facts: `model`."""

    template = "{model} is not on this machine yet."
    hint = "Fetch it first: penjing pull {model}"


class LooksLikeAServer(ModelNotFound):
    """Facts: `model`."""

    hint = "For a server write its whole address: http://{model}"


class NotALanguageModel(ModelUnsupported):
    """A part that works beside a model. Facts: `path`, `kind`."""

    template = "{path} is a part for a model ({kind}), not a model by itself."
    hint = "Name the .gguf file of the model it belongs to."


def resolve(
    name: str, *, bits: int | None = None, allow: Allow | None = None, progress: Report | None = None
) -> Resolved:
    """The engine-ready file of `name`. `bits` (as in `shrink.bits`) chooses the quantization; None means 16 for a
    checkpoint and leaves a `.gguf` as it is. `allow` hears of what would be refused. Raises ModelNotFound,
    ModelCorrupt, ModelUnsupported, Distrusted, NotWhileSealed, DiskFull, SettingError; `progress` cancels by
    raising."""
    found = find(name, bits=bits, allow=allow)
    return Resolved(found.name, found.make(progress), found.source, found.kind)


def find(name: str, *, bits: int | None = None, allow: Allow | None = None) -> Found:
    """As `resolve`, without checking signatures or converting anything yet. Raises ModelNotFound, ModelCorrupt,
    ModelUnsupported, NotWhileSealed, SettingError."""
    if bits is not None and bits not in BITS:
        raise SettingError(name="bits", value=bits, wanted=SAID, source="--bits")
    if name == GUIDE:
        return Found(GUIDE, guide(), "guide", partial(_guide, bits))
    source = expanded(name)
    if not source.exists():
        kept = _kept(name)
        if kept is None:
            raise _not_found(name, source)
        return Found(name.lower(), kept.path, _kind(kept), partial(_of_store, kept, bits, allow), kept)
    if is_sealed(source):
        _require_as_it_is(source, bits)
        return Found(bare(source), source, "sealed", partial(_admitted, source, allow, lambda report: source))
    found = probe.read(source)
    if found.format == "gguf":
        _require_whole(found)
    name, kind = _seen(found)
    return Found(name, source, kind, partial(_admitted, found.path, allow, partial(_made, found, bits)))


def _seen(found: Model) -> tuple[str, Kind]:
    return (found.path.stem, "gguf") if found.format == "gguf" else (found.name, "checkpoint")


def bare(sealed: Path) -> str:
    """What a sealed file's model is called: as the plain file's would be."""
    return sealed.name.removesuffix(SUFFIX).removesuffix(".gguf")


def _require_as_it_is(path: Path, bits: int | None) -> None:
    """Raises NotWhileSealed."""
    if bits is not None:
        raise NotWhileSealed(option="--bits", model=str(path), detail="a smaller copy would lie on disk unsealed.")


def _admitted(source: Path, allow: Allow | None, make: Callable[[Report | None], Path], report: Report | None) -> Path:
    require_admitted(source, allow, report)
    return make(report)


def _kept(name: str) -> Version | None:
    """What the store has under this name, or the one that `pull` gives it. Raises NotFetched where a source has it, and
    NotInStore where the store has others of that name, and not this one."""
    from penjing.store.order import stored
    from penjing.store.versions import Store

    store = Store()
    missing: NotInStore | None = None
    for each in dict.fromkeys((name, stored(name))):
        found = _found(store, each)
        if isinstance(found, Version):
            return found
        missing = missing or found
    if missing is not None:
        raise NotFetched(model=name) if _elsewhere(name) else missing
    return None


def _found(store: Store, name: str) -> Version | NotInStore | None:
    """The version that `name` means; the error where there are others of that name; None where there are none, or where
    it cannot be a name of the store."""
    try:
        return store.find(name) if store.versions(names.parse(name).name) else None
    except BadName:
        return None
    except NotInStore as error:
        return error


def _elsewhere(name: str) -> bool:
    """Whether it can be fetched: it names a place, or is in the catalogue."""
    from penjing.sources import catalogue
    from penjing.sources.faults import NotAReference
    from penjing.sources.names import parse, remote

    try:
        return remote(name) or catalogue.known(parse(name).place)
    except NotAReference:
        return False


def _kind(kept: Version) -> Kind:
    kinds: dict[str, Kind] = {".gguf": "gguf", SUFFIX: "sealed"}
    return kinds.get(kept.path.suffix, "checkpoint")


def _of_store(kept: Version, bits: int | None, allow: Allow | None, progress: Report | None) -> Path:
    from penjing.store.versions import Store

    path = Store().path(kept, progress)
    require_admitted(of_version(kept), allow, progress)
    if is_sealed(path):
        _require_as_it_is(path, bits)
        return path
    return _made(probe.read(path), bits, progress)


def _made(model: Model, bits: int | None, progress: Report | None) -> Path:
    if model.format == "gguf":
        _require_whole(model)
        return _smaller(model, bits, progress)
    return _converted(model, bits or DEFAULT_BITS, progress)


def guide() -> Path:
    """The embedded model. Raises ModelNotFound where this copy of penjing was built without it."""
    path = Path(str(resources.files("penjing") / "data" / "guide" / "guide.gguf"))
    if not path.is_file():
        raise ModelNotFound(model=GUIDE)
    return path


def _guide(bits: int | None, progress: Report | None) -> Path:
    path = guide()
    found = probe.read(path)
    if bits is not None and not _is(found, bits) and (path.parent / "config.json").is_file():
        return _converted(probe.read(path.parent), bits, progress)
    return _smaller(found, bits, progress)


def _require_whole(model: Model) -> None:
    """Raises NotALanguageModel."""
    kind = str(model.metadata.get("general.type", "model"))
    if kind != "model" or model.architecture == "clip":
        raise NotALanguageModel(path=str(model.path), kind=kind if kind != "model" else model.architecture)


def _is(model: Model, bits: int) -> bool:
    return model.quantization.startswith(LABELS[bits])


def _smaller(model: Model, bits: int | None, progress: Report | None) -> Path:
    """The `.gguf` itself, or its quantized copy in the cache."""
    if bits is None or _is(model, bits):
        return model.path
    from penjing.shrink.quantize import quantize

    key = cache.key(model.path, model.files, f"quantize {bits}")
    return cache.made(key, lambda path: quantize(model.path, path, bits, report=progress), progress)


def _converted(model: Model, bits: int, progress: Report | None) -> Path:
    from penjing.export.gguf import convert, upstream

    sources = {*model.files, *(page for pattern in PAGES for page in model.path.glob(pattern))}
    ours = convert.supported(model.path)
    make = convert.convert if ours else upstream.convert
    key = cache.key(model.path, sources, f"{'own' if ours else 'upstream'} {bits}")
    return cache.made(key, lambda path: make(model.path, path, bits, report=progress), progress)


def _not_found(name: str, source: Path) -> ModelNotFound:
    if HOST_AND_PORT.fullmatch(name):
        return LooksLikeAServer(model=name)
    if _elsewhere(name):
        return NotFetched(model=name)
    try:
        here = [entry for entry in source.parent.iterdir() if _a_model(entry)]
    except OSError:  # the folder is not there or not ours to read
        here = []
    names = {GUIDE: GUIDE, **{entry.name: str(entry) for entry in here}}
    alike = difflib.get_close_matches(source.name, names, NEAR, NEAR_ENOUGH)
    near = [names[each] for each in alike or names if alike or source.stem.lower() in each.lower()]
    if not near:
        return ModelNotFound(model=name)
    return NoSuchModel(model=name, near=", ".join(near[:NEAR]), first=near[0])


def _a_model(entry: Path) -> bool:
    return entry.suffix == ".gguf" or (entry / "config.json").is_file()
