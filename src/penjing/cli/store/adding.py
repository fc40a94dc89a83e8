"""`penjing store add`: a model of one's own becomes a version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.store.keeping import plain
from penjing.cli.verb import argument, option, verb

if TYPE_CHECKING:
    from penjing.manifest import Manifest


@verb(
    "add",
    help="Keep a model of yours in the store, as a new version of its name. Nothing is copied on the same disk.",
    examples=(
        ("penjing store add ./model.gguf --name mine", "Then: penjing chat mine"),
        ("penjing store add ./checkpoint --name mine --tag stable", "A folder; the version that mine means."),
    ),
)
@argument("path", metavar="PATH", required=True)
@option("--name", metavar="NAME", help="What it is called; like the file where not given.")
@option("--tag", metavar="TAG", help="A tag for the new version.")
@option("--move", is_flag=True, help="Take the files away from where they are.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(path: str, name: str | None, tag: str | None, move: bool, as_json: bool) -> None:
    """The door."""
    from penjing.cli.progress import shown
    from penjing.files import expanded
    from penjing.store.versions import Store

    source = expanded(path)
    files, manifest = _described(source, name)
    store = Store()
    with shown() as report:
        found = store.add(files, manifest, taking="move" if move else "link", report=report)
    if tag is not None:
        store.tag(found.name, tag, found)
    if as_json:
        talk.data_json(plain(store, found))
    talk.note("Kept as {version}: penjing chat {name}", version=found, name=found.name)


def _described(source: Path, name: str | None) -> tuple[dict[str, Path], Manifest]:
    """The files of a model, and its manifest: the one that lies with them, else what the header says. Raises
    ModelError."""
    import msgspec

    from penjing import manifest as manifests
    from penjing.probe import model as probe
    from penjing.store.names import suggested
    from penjing.store.resolve import bare
    from penjing.store.seal.form import is_sealed

    if is_sealed(source):
        return {source.name: source}, manifests.Manifest(name=name or suggested(bare(source)), version="")
    model = probe.read(source)
    if source.is_dir() and (source / manifests.NAME).is_file():
        given = manifests.load(source)
        files = {entry.path: source / entry.path for entry in given.files}
        return files, given if name is None else msgspec.structs.replace(given, name=name, signatures=())
    if source.is_dir():
        inside = (path for path in sorted(source.rglob("*")) if path.is_file())
        files = {path.relative_to(source).as_posix(): path for path in inside if not path.name.startswith(".")}
    else:
        files = {path.name: path for path in model.files}
    facts: dict[str, object] = {
        "architecture": model.architecture,
        "parameters": model.parameters,
        "context": model.context,
        "quantization": model.quantization,
    }
    known = {key: value for key, value in facts.items() if value}
    return files, manifests.Manifest(name=name or suggested(source.stem), version="", facts=known)
