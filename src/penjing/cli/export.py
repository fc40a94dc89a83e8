"""The verb `export`: a model in the form that an app, a phone or a browser runs, compared with its original."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, SettingError

if TYPE_CHECKING:
    from penjing.export.check import Check
    from penjing.export.make import Made
    from penjing.export.offer import Offer
    from penjing.export.target import Target
    from penjing.progress import Report

SLOW_IN_WASM = ("Q4_0", "Q4_1", "Q5_0", "Q5_1")
"""Types for which llama.cpp has no fast code in wasm."""
LARGE = 2_000_000_000
"""Bytes above which few phones have the memory."""


class NoTarget(InputError):
    """Facts: `model`, `known`."""

    template = "An export needs a target: {known}."
    hint = "Name one: penjing export {model} --target gguf --output ./gguf"
    code = "no_target"


class NoOutput(InputError):
    """Facts: `target`."""

    template = "An export needs a folder to write to."
    hint = "Name one: penjing export guide --target {target} --output ./{target}"
    code = "no_output"


class SealedStays(InputError):
    """Facts: `model`."""

    template = "{model} is sealed: an export would hold it in plain."
    hint = "Unseal it first if it may leave: penjing unseal {model} --output model.gguf"
    code = "sealed_stays"


@verb(
    "export",
    help="Write a model in the form that a phone, an app or a browser runs, and compare it with the original.",
    examples=(
        ("penjing export guide --target web --output ./page", "The chat page with the model inside, for any web host."),
        ("penjing export ./checkpoint --bits 4 --target web --output ./page", "A checkpoint, quantized to 4 bits."),
        ("penjing export guide --target onnx --precision int4 --output ./onnx", "For ONNX Runtime, 4 bits a weight."),
        ("penjing export ./checkpoint --target gguf --precision q4_k_m --output ./gguf", "For llama.cpp."),
        ("penjing export ./checkpoint --lint", "What a phone cannot run of it, before anything is written."),
    ),
)
@argument("model", metavar="[MODEL]")
@option("--target", metavar="NAME", help="What for: coreml, executorch, gguf, litert, onnx, web.")
@option("--precision", metavar="NAME", help="How weights are kept: int4, int8, fp16, fp32 ..., as the target has it.")
@option("--output", metavar="DIR", help="A new folder for it.")
@option("--context", metavar="TOKENS", help="How long a conversation may get, where the target fixes that.")
@option("--sequence", metavar="TOKENS", help="How many tokens one call reads, where the target fixes that.")
@option("--calibration", metavar="FILE|NAME", help="Texts for what is calibrated; built-in ones where not given.")
@option("--bits", metavar="BITS", help="For web: quantize to 2, 3, 4, 5, 6 or 8 bits; 16 and 32 keep it whole.")
@option("--check/--no-check", default=None, help="Compare it with the original on prompts in two languages; on.")
@option("--starter/--no-starter", default=True, help="With small programs that run it; on.")
@option(
    "--lint",
    is_flag=True,
    help="Only say what the target (all of them without --target) does not take; MODEL may be an .onnx file too.",
)
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(model: str | None, target: str | None, as_json: bool, **given: Any) -> None:
    """The door."""
    if given["lint"]:
        from penjing.cli.lint import lint as linted

        linted(model or "guide", target, as_json)
        return
    from penjing.export.make import NotVerified
    from penjing.export.target import precision, require, require_used, targets
    from penjing.export.target import target as found
    from penjing.files import expanded
    from penjing.shrink.output import require_free

    if target is None:
        raise NoTarget(model=model or "guide", known=", ".join(targets()))
    wanted = found(target)
    kept = precision(wanted, given["precision"])
    require_used(wanted, {name: given[name] for name in ("context", "sequence", "calibration", "bits")})
    if not given["output"]:
        raise NoOutput(target=target)
    folder = expanded(given["output"])
    require_free(folder)
    require(wanted)
    made, check = _run(wanted, model or "guide", kept, folder, given)
    _tell(made, check, as_json)
    if check is not None and not check.verified:
        failed = ", ".join(check.failed)
        raise NotVerified(path=str(folder), target=target, precision=kept, failed=failed)


def _run(wanted: Target, model: str, precision: str, folder: Path, given: dict[str, Any]) -> tuple[Made, Check | None]:
    from penjing.cli import local
    from penjing.cli.checkpoint import checkpoint
    from penjing.cli.progress import shown
    from penjing.export.make import make, verify
    from penjing.export.target import Options
    from penjing.shrink.extra import ShrinkExtraMissing

    if wanted.takes == "checkpoint":
        name, source = checkpoint(model, local.care(given))
    with shown() as report:
        if wanted.takes == "gguf":
            offer = offered(model, given["bits"], report)
            name, source = offer.name, offer.path
        options = Options(
            precision,
            context=_tokens("context", given["context"]),
            calibration=Path(given["calibration"]) if given["calibration"] else None,
            starter=given["starter"],
            name=name,
            sequence=_tokens("sequence", given["sequence"]),
        )
        made = make(wanted, source, folder, options, report)
        if given["check"] is False:
            return made, None
        try:
            return made, verify(wanted, source, folder, options, report)
        except ShrinkExtraMissing as missing:
            if given["check"]:
                raise
            talk.warn(
                "Not compared with the original: {detail} {hint}", detail=missing.message(), hint=missing.advice()
            )
            return made, None


def _tokens(name: str, text: str | None) -> int:
    """A count of tokens, 0 where none was given. Raises SettingError."""
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 31:
        raise SettingError(name=name, value=text, wanted="a number of tokens", source=f"--{name}")
    return int(text)


def _tell(made: Made, check: Check | None, as_json: bool) -> None:
    """What was written, and what the check found."""
    from penjing.files import human

    if as_json:
        talk.data_json(_document(made, check))
    talk.note(
        "{path} holds {model} for {target} ({precision}): {size}, {share:.0f} % of its {whole} in fp32.",
        path=made.output,
        model=made.model,
        target=made.target,
        precision=made.precision,
        size=human(made.bytes),
        share=made.bytes / max(made.original, 1) * 100,
        whole=human(made.original),
    )
    if check is not None:
        whole = check.whole
        talk.note(
            "Against the original, {tokens} tokens in {languages}: KL {kl:.2g} nats, the same likeliest token "
            "{top1:.1f} % of the time, largest error of a logit {error:.2g}.",
            tokens=whole.tokens,
            languages=", ".join(check.languages),
            kl=whole.kl,
            top1=whole.top1 * 100,
            error=whole.max_abs_error,
        )
    if made.target == "web":
        talk.note(
            "Try it: python3 -m http.server --directory {path}    then open http://127.0.0.1:8000", path=made.output
        )


def _document(made: Made, check: Check | None) -> dict[str, object]:
    """The same as --json prints it."""
    import msgspec

    return {
        "target": made.target,
        "precision": made.precision,
        "output": str(made.output),
        "model": made.model,
        "bytes": made.bytes,
        "fp32_bytes": made.original,
        "files": [{"path": str(path.relative_to(made.output)), "bytes": path.stat().st_size} for path in made.files],
        "check": msgspec.to_builtins(check),
    }


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
