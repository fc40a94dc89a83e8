"""The verb `probe`: what this machine is, or what a model's file says of itself."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError
from penjing.files import expanded, write_whole
from penjing.language import say

if TYPE_CHECKING:
    from penjing.probe.calibrate import Calibration
    from penjing.probe.facts import Model
    from penjing.probe.machine import Machine

EXAMPLES = (
    ("penjing probe", "This machine, and what would make it better."),
    ("penjing probe --calibrate", "Measure how fast it is, in ten seconds."),
    ("penjing probe ./model.gguf", "A model's header; its weights are not read."),
    ("penjing probe hf:OWNER/REPO:Q4_K_M", "One elsewhere, from its header: less than 2 MB are moved."),
)
FILES = (".gguf", ".safetensors")
"""How an address ends that is a model's file, and no server's."""

OPTIONS = {"devices": "--devices", "calibrate": "--calibrate", "record": "--record", "recording": "--from"}


class NotTogether(InputError):
    """Facts: `first`, `second`."""

    template = "{first} and {second} ask for different things."
    hint = "Leave one of them out."
    code = "not_together"


@verb("probe", help="Show what this machine, or a model, is.", examples=EXAMPLES)
@argument("model", metavar="[MODEL]")
@option("--calibrate", is_flag=True, help="Measure memory and matrix products first (ten seconds).")
@option("--record", metavar="FILE", help="Write everything that was read of this machine, for a report.")
@option("--from", "recording", metavar="FILE", help="Show the machine of which FILE is the record.")
@option("--devices", is_flag=True, help="List the phones, boards and computers that plans know.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(
    model: str | None, calibrate: bool, record: str | None, recording: str | None, devices: bool, as_json: bool
) -> None:
    """The door."""
    require_alone(model, devices=devices, calibrate=calibrate, record=record, recording=recording)
    if devices:
        _devices(as_json)
    elif model is None:
        _machine(calibrate, record, recording, as_json)
    else:
        _model(model, as_json)


def require_alone(model: str | None, **given: object) -> None:
    """Raises NotTogether where options were given that say different things to show."""
    options = [OPTIONS[name] for name, value in given.items() if value]
    if model is not None and options:
        raise NotTogether(first=options[0], second=model)
    shown = [name for name in options if name in ("--devices", "--from")]
    if shown and len(options) > 1:
        raise NotTogether(first=shown[0], second=next(name for name in options if name != shown[0]))


def _machine(calibrate: bool, record: str | None, recording: str | None, as_json: bool) -> None:
    """This machine, or a recorded one: what it is, how it is, how fast it is, what would make it better."""
    from penjing.cli.machine import document, rows, speed_rows
    from penjing.probe import advice, condition, machine
    from penjing.probe.offers import used
    from penjing.probe.reading import Recorded, Recorder

    reading = Recorded.load(expanded(recording)) if recording else Recorder()
    here, now = machine.read(reading), condition.read(reading)
    if record and isinstance(reading, Recorder):
        write_whole(expanded(record), json.dumps(reading.recording, indent=1).encode() + b"\n")
    speed = None if recording else _speed(here, calibrate)
    better = advice.improve(here, now) if recording else advice.improve(here, now, advice.measured(speed))
    library = () if recording else used()
    if as_json:
        return talk.data_json(document(here, now, speed, better, library))
    print_rows([*rows(here, now, library), *(speed_rows(speed) if speed else [])])
    for one in better:
        talk.data(f"{talk.painted('!', talk.YELLOW, sys.stdout)} {one.found}\n  {say('next:')} {one.next}")
    return None


def _speed(here: Machine, calibrate: bool) -> Calibration | None:
    """The calibration that is kept, or a new one."""
    from penjing.cli.progress import shown
    from penjing.probe import calibrate as measuring

    if not calibrate:
        return measuring.kept(here)
    with shown() as report:
        return measuring.calibrate(here, report)


def _devices(as_json: bool) -> None:
    import msgspec

    from penjing.cli.machine import device_rows
    from penjing.plan.devices import catalogue

    if as_json:
        talk.data_json(msgspec.to_builtins(list(catalogue().values())))
    else:
        print_rows(device_rows(catalogue()))


def _model(model: str, as_json: bool) -> None:
    """What a model's header says, here or elsewhere."""
    from penjing.cli import header

    facts = _facts(model)
    talk.data_json(header.document(facts)) if as_json else print_rows(header.rows(facts))


def _facts(model: str) -> Model:
    """A file or folder here, or what a name means; of what is elsewhere headers are read, nothing else is moved."""
    from penjing.cli.model import NotHere, is_url
    from penjing.cli.plan import subject
    from penjing.cli.progress import shown
    from penjing.probe.model import read

    if is_url(model) and not model.partition("?")[0].endswith(FILES):
        raise NotHere(model=model)
    path = expanded(model)
    if path.exists():
        return read(path)
    with shown() as report:
        return subject.find(model, report).model
