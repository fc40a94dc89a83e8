"""The verb `export`: a model in the form that an app, a phone or a browser runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.export.offer import Offer
    from penjing.progress import Report

TARGETS = ("web",)
SLOW_IN_WASM = ("Q4_0", "Q4_1", "Q5_0", "Q5_1")
"""Types for which llama.cpp has no fast code in wasm."""
LARGE = 2_000_000_000
"""Bytes above which few phones have the memory."""


class NoOutput(InputError):
    """Facts: `target`."""

    template = "An export needs a folder to write to."
    hint = "Name one: penjing export guide --target {target} --output ./page"
    code = "no_output"


class SealedStays(InputError):
    """Facts: `model`."""

    template = "{model} is sealed: an export would hold it in plain."
    hint = "Unseal it first if it may leave: penjing unseal {model} --output model.gguf"
    code = "sealed_stays"


@verb(
    "export",
    help="Write a model in the form that a phone, an app or a browser runs.",
    examples=(
        ("penjing export guide --target web --output ./page", "The chat page with the model inside, for any web host."),
        ("penjing export ./checkpoint --bits 4 --target web --output ./page", "A checkpoint, quantized to 4 bits."),
        ("penjing export ./checkpoint --lint", "What a phone cannot run of it, before anything is written."),
    ),
)
@argument("model", metavar="[MODEL]")
@option("--target", metavar="NAME", help="What for: web.")
@option("--output", metavar="DIR", help="A new folder for it.")
@option("--bits", metavar="BITS", help="Quantize to 2, 3, 4, 5, 6 or 8 bits; 16 and 32 keep it whole.")
@option(
    "--lint",
    is_flag=True,
    help="Only say what the target (all of them without --target) does not take; MODEL may be an .onnx file too.",
)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(
    model: str | None, target: str | None, output: str | None, bits: str | None, lint: bool, as_json: bool
) -> None:
    """The door."""
    if lint:
        from penjing.cli.lint import lint as linted

        linted(model or "guide", target, as_json)
        return
    from penjing.cli.progress import shown
    from penjing.export import web
    from penjing.files import expanded, human
    from penjing.shrink.output import require_free

    if target not in TARGETS:
        raise SettingError(name="target", value=target, wanted=", ".join(TARGETS), source="--target")
    if not output:
        raise NoOutput(target=target)
    folder = expanded(output)
    require_free(folder)
    with shown() as report:
        offer = offered(model or "guide", bits, report)
        files = web.export([offer], folder, report)
    size = sum(path.stat().st_size for path in files)
    if as_json:
        listed = [{"path": str(path.relative_to(folder)), "bytes": path.stat().st_size} for path in files]
        talk.data_json({"target": target, "output": str(folder), "model": offer.name, "bytes": size, "files": listed})
    talk.note("{path} holds the page and {model}: {size}.", path=folder, model=offer.name, size=human(size))
    talk.note("Try it: python3 -m http.server --directory {path}    then open http://127.0.0.1:8000", path=folder)


def offered(model: str, bits: str | None, report: Report | None) -> Offer:
    """The model as a browser takes it. Raises ModelNotFound, ModelError, SealedStays, SettingError."""
    from penjing.cli.model import Chosen, NotHere
    from penjing.settings import load
    from penjing.store.resolve import find

    chosen = load(Chosen, "model", {"name": model, "bits": bits}).value
    if chosen.remote:
        raise NotHere(model=model)
    found = find(chosen.name, bits=chosen.bits)
    if found.kind == "sealed":
        raise SealedStays(model=model)
    return checked(found.make(report), found.name, report)


def checked(path: Path, name: str, report: Report | None) -> Offer:
    """The GGUF at `path` as an offer; says what will be slow or large in a browser. Raises ModelError."""
    from penjing.export.offer import offer
    from penjing.files import human
    from penjing.probe import model as probe

    made = offer(path, name, report)
    label = probe.read(path).quantization
    if label in SLOW_IN_WASM:
        talk.warn(
            "{model} is {label}, which is slow in a browser; --bits 4 of its checkpoint is not.",
            model=name,
            label=label,
        )
    if made.size > LARGE:
        talk.warn("{model} takes {size}: few phones have the memory for it.", model=name, size=human(made.size))
    return made
