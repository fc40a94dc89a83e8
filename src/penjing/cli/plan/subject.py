"""What a plan is about: from MODEL to its header and the quantizations there are of it. Nothing is downloaded but
headers.

    guide, PATH, NAME of the store      -> here
    hf:, ms:, https:, file:, SHORT NAME -> a listing of files, and one header by ranges

Does not know: machines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penjing.errors import InputError, ModelNotFound
from penjing.files import expanded
from penjing.plan.answer import Candidate, same
from penjing.plan.mixes import USUAL, quantized
from penjing.plan.quality import known
from penjing.probe import model as header
from penjing.probe.facts import Model
from penjing.progress import Progress, Report
from penjing.shrink.bits import BY_BITS

if TYPE_CHECKING:
    from penjing.sources.names import Reference

ATTEMPTS = 3
"""How often a source is asked: whoever plans would rather know at once that there is no way to it."""
FEW = 3
"""Names of smaller models that are told."""
WIDE = ("F16", "BF16", "F32")


class UnknownQuantization(InputError):
    """Facts: `label`, `known` (comma-separated)."""

    template = "penjing knows no quantization called {label!r}."
    hint = "Usual ones: {known}"
    code = "unknown_quantization"


@dataclass(frozen=True)
class Subject:
    """`name` as it was typed, `title` for people. `model` is the header that was read. `page` and `licence` are empty
    for what is here. `remote` says that it must be fetched first."""

    name: str
    title: str
    model: Model
    candidates: tuple[Candidate, ...]
    remote: bool = False
    page: str = ""
    licence: str = ""


def find(name: str, report: Report = lambda progress: None) -> Subject:
    """What `name` means. Raises ModelNotFound, ModelCorrupt, ModelUnsupported, NotAReference, NoSuchQuantization,
    NetworkError, AccessError."""
    from penjing.sources import catalogue, names
    from penjing.sources.faults import NotAReference

    if names.remote(name) and not expanded(name).exists():
        return elsewhere(name, names.parse(name), report)
    try:
        return local(name)
    except ModelNotFound as missing:
        try:
            reference = names.parse(name)
        except NotAReference:
            raise missing from None
        if not catalogue.known(reference.place):
            raise
        return elsewhere(name, reference, report)


def local(name: str) -> Subject:
    """What is on this machine. Raises ModelNotFound, ModelCorrupt, ModelUnsupported."""
    from penjing.store import resolve

    found = resolve.find(name)
    model = header.read(found.version.path if found.version else found.source)
    return Subject(name, model.name or found.name, model, quantizations(model))


def quantizations(model: Model) -> tuple[Candidate, ...]:
    """The file as it is, what penjing makes of it, and what others may have made."""
    own = model.quantization or model.path.stem
    gguf = model.format == "gguf"
    found = {own: Candidate(own, model, "here")} if gguf else {}
    if gguf and own not in WIDE:
        return tuple(found.values())
    for bits, label in BY_BITS.items():
        if bits < 32 and label not in found:
            found[label] = Candidate(label, quantized(model, label), "convert")
    for label in USUAL:
        if label not in found:
            found[label] = Candidate(label, quantized(model, label), "computed")
    return tuple(found.values())


def elsewhere(name: str, reference: Reference, report: Report) -> Subject:
    """What a source has. Raises what `sources` and `probe.remote` raise."""
    from penjing.plan.offered import offered
    from penjing.probe import remote
    from penjing.probe.faults import NoWeights
    from penjing.sources.patience import Patience
    from penjing.sources.source import listing
    from penjing.sources.variants import pick, variants

    report(Progress(0.0, "connecting"))
    found = listing(reference, Patience(attempts=ATTEMPTS, connect=5.0, silence=10.0, longest=5.0))
    there = [pick(found, reference.pick)] if _pick(reference) else list(variants(found))
    if not there:
        raise NoWeights(model=name, path=name)
    ggufs = [variant for variant in there if variant.kind == "gguf"]
    sample = ggufs[0] if ggufs else there[0]
    model = remote.read(found, sample)
    candidates = tuple(each for _, each in offered(model, sample, ggufs).values()) if ggufs else quantizations(model)
    title = model.name or found.name
    return Subject(name, title, model, candidates, remote=True, page=found.page, licence=found.licence)


def smaller(name: str, budget: int) -> tuple[str, ...]:
    """Short names of the same family that should fit `budget` bytes, the largest first."""
    from penjing.sources import catalogue

    family = name.partition(":")[0].lower()
    fitting = [entry for entry in catalogue.entries().values() if entry.name.partition(":")[0] == family]
    fitting = [entry for entry in fitting if entry.name != name.lower() and 0 < entry.memory <= budget]
    return tuple(entry.name for entry in sorted(fitting, key=lambda entry: -entry.memory)[:FEW])


def with_quantization(subject: Subject, label: str) -> Subject:
    """`subject` with the quantization that was asked for among its candidates: one that nobody has is computed. Raises
    UnknownQuantization."""
    if not label or any(same(each.label, label) for each in subject.candidates):
        return subject
    if known(label.upper()) is None:
        raise UnknownQuantization(label=label, known=", ".join(USUAL))
    made = Candidate(label.upper(), quantized(subject.model, label.upper()), "computed")
    return replace(subject, candidates=(*subject.candidates, made))


def _pick(reference: Reference) -> bool:
    """Whether one file was asked for; what follows # in an address is a digest."""
    return bool(reference.pick) and reference.scheme not in ("http", "https")
