"""The verb `probe`: what this machine is, or what a model's file says of itself."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.files import expanded, human
from penjing.language import say

if TYPE_CHECKING:
    from penjing.probe.facts import Model
    from penjing.probe.machine import Machine

TOLD = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")
EXAMPLES = (
    ("penjing probe", "This machine."),
    ("penjing probe ./model.gguf", "A model's header; its weights are not read."),
)


@verb("probe", help="Show what this machine, or a model, is.", examples=EXAMPLES)
@argument("model", metavar="[MODEL]")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(model: str | None, as_json: bool) -> None:
    """The door."""
    if model is None:
        from penjing.probe import machine

        here = machine.read()
        talk.data_json(_plain(here)) if as_json else print_rows(machine_rows(here))
        return
    from penjing.cli.model import NotHere, is_url
    from penjing.probe import model as header
    from penjing.store.resolve import GUIDE, guide

    if is_url(model):
        raise NotHere(model=model)
    facts = header.read(guide() if model == GUIDE else expanded(model))
    talk.data_json(_plain(facts)) if as_json else print_rows(model_rows(facts))


def machine_rows(here: Machine) -> list[tuple[str, str]]:
    """Name and value, for people."""
    cores = say("{physical} physical, {logical} logical", physical=here.physical_cores, logical=here.logical_cores)
    memory = say("{free} free of {total}", free=human(here.memory_available), total=human(here.memory_total))
    rows = [
        (say("system"), here.system),
        (say("processor"), here.cpu),
        (say("cores"), cores),
        (say("instructions"), " ".join(name for name in TOLD if name in here.features) or "-"),
        (say("memory"), memory),
    ]
    for gpu in here.gpus:
        free = say("{free} free of {total}", free=human(gpu.memory_free), total=human(gpu.memory_total))
        rows.append((say("GPU"), f"{gpu.name} ({gpu.kind}), {free}"))
    return rows if here.gpus else [*rows, (say("GPU"), say("none"))]


def model_rows(facts: Model) -> list[tuple[str, str]]:
    """Name and value, for people."""
    heads = say("{heads} heads, {kv_heads} for keys and values", heads=facts.heads, kv_heads=facts.kv_heads)
    weights = say(
        "{size}, {label} ({bits:.2f} bits a weight)",
        size=human(facts.bytes),
        label=facts.quantization,
        bits=facts.bits_per_weight,
    )
    return [
        (say("file"), str(facts.path)),
        (say("name"), facts.name or "-"),
        (say("architecture"), facts.architecture),
        (say("parameters"), f"{facts.parameters:,}"),
        (say("weights"), weights),
        (say("trained context"), say("{tokens} tokens", tokens=facts.context)),
        (say("layers"), f"{facts.layers} × {facts.embedding}"),
        (say("attention"), heads),
        (say("vocabulary"), say("{tokens} tokens", tokens=facts.vocabulary)),
        (say("chat template"), say("yes") if facts.chat_template else say("no")),
    ]


def _plain(facts: object) -> Any:
    """Dataclasses, sets and paths as JSON; tensors are counted, not listed."""
    import msgspec

    fields = {field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)}  # type: ignore[arg-type]
    if "tensors" in fields:
        fields["tensors"] = len(fields["tensors"])
    if "features" in fields:
        fields["features"] = sorted(fields["features"])
    return msgspec.to_builtins(fields, enc_hook=str)
