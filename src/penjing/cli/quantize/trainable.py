"""`penjing quantize --to torch-int8`: a checkpoint in few bits that transformers loads, and beside which
adapters are trained.

Does not know: how it is written (`shrink.torch_bits`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.shrink.torch_bits.write import Written

PREFIX = "torch-"
TAKEN = ("to", "text", "allow_untrusted", "output")
"""Options that say something of such a checkpoint."""


def form(given: dict[str, Any]) -> str | None:
    """Of `--to torch-...`; None where a .gguf is wanted. Raises SettingError for a form that is none, and for an option
    that a .gguf alone has."""
    asked = str(given["to"] or "").lower()
    if not asked.startswith(PREFIX):
        return None
    from penjing.shrink.torch_bits.forms import WRITTEN

    found = asked.removeprefix(PREFIX)
    if found not in WRITTEN:
        wanted = ", ".join(PREFIX + each for each in WRITTEN)
        raise SettingError(name="to", value=given["to"], wanted=wanted, source="--to")
    for name, value in given.items():
        if value and name not in TAKEN:
            option = "--" + {"types": "type"}.get(name, name).replace("_", "-")
            raise SettingError(name=option, value=value, wanted=f"left out beside --to {asked}", source=option)
    return found


def write(model: str, wanted: str, given: dict[str, Any], *, as_json: bool) -> None:
    """Write it, and say what it lost. Raises what `torch_bits.write.quantize` raises, NotACheckpoint, OutputBusy."""
    from penjing.cli import local
    from penjing.cli.checkpoint import checkpoint
    from penjing.cli.progress import shown
    from penjing.cli.training import warn_of_licence
    from penjing.files import expanded
    from penjing.shrink import extra
    from penjing.shrink.alone import alone
    from penjing.shrink.output import require_free
    from penjing.shrink.torch_bits import forms
    from penjing.shrink.torch_bits.write import quantize

    extra.require(*extra.TORCH, forms.BY[wanted])
    name, source = checkpoint(model, local.care(given))
    warn_of_licence(name, source)
    output = expanded(given["output"] or f"{name}-{PREFIX}{wanted}")
    require_free(output)
    with alone(output), shown() as report:
        done = quantize(source, output, wanted, measured=_measure(source, wanted, given), report=report)
    if as_json:
        talk.data_json(document(source, done))
        return
    tell(done, output)
    talk.data(str(output))


def _measure(source: Path, wanted: str, given: dict[str, Any]) -> Any:
    """What was lost, as a function of the folder; None where no text is wanted or memory does not suffice."""
    from penjing.files import human
    from penjing.shrink.texts.known import HELD_OUT, builtin, texts
    from penjing.shrink.torch_bits import loss

    names = given["text"]
    if "none" in names:
        if len(names) > 1:
            from penjing.cli.quantize.wish import NoneBeside

            raise NoneBeside
        return None
    chosen = [text for name in names for text in texts(name)] or list(builtin(HELD_OUT))
    needed, free = loss.room(source)
    if needed > free:
        talk.warn(
            "What it loses is not measured: that takes {needed} of memory, and {free} is free.",
            needed=human(needed),
            free=human(free),
        )
        return None
    return lambda folder: loss.lost(source, wanted, chosen, folder)


def document(source: Path, done: Written) -> dict[str, Any]:
    """For programs; `kl` in nats a token, null where it was not measured."""
    return {
        "path": str(done.output),
        "source": str(source),
        "form": PREFIX + done.form,
        "bytes": done.after,
        "source_bytes": done.before,
        "matrices": done.matrices,
        "share": done.share,
        "kl": done.kl,
    }


def tell(done: Written, output: Path) -> None:
    """The same for people, on stderr."""
    from penjing.files import human

    talk.note(
        "{count} matrices in {form}, {share:.0f} % of the numbers: {size} of {before}",
        count=done.matrices,
        form=done.form,
        share=100 * done.share,
        size=human(done.after),
        before=human(done.before),
    )
    if done.kl is not None:
        talk.note("Divergence from the original on held-out text: {kl:.5f} nats a token.", kl=done.kl)
    talk.note("Train an adapter beside it: penjing finetune {output} --data FILE -o DIR", output=output)
