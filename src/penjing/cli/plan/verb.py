"""The verb `plan`: what of a model fits here or on another device, how fast it would be, what it would cost, before a
byte of its weights is fetched.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from penjing.cli.plan.figures import FIELDS, cost_options
from penjing.cli.verb import argument, option, verb
from penjing.errors import SettingError
from penjing.language import LANGUAGES

if TYPE_CHECKING:
    from penjing.plan.answer import Wish
    from penjing.plan.place import Place

EXAMPLES = (
    ("penjing plan qwen3:4b", "What of it fits this machine, and how fast it is."),
    ('penjing plan qwen3:4b --for "8GB Android phone"', "The same for a phone."),
    ("penjing plan ./model.gguf --context 32768", "Whether a long conversation fits."),
    ("penjing plan qwen3:4b --report plan.html", "All of it on a page, with pictures."),
)
GUIDE = "guide"
BUSY = 50.0
"""Percent of the processor."""


@verb("plan", help="Show what of a model fits, how fast, and what it costs, before it is fetched.", examples=EXAMPLES)
@argument("model", metavar="[MODEL]")
@option("--for", "device", metavar="DEVICE", help="For that device instead of this machine: penjing probe --devices.")
@option("--context", metavar="TOKENS", help="How long a conversation must fit; 4096 where not given.")
@option("--parallel", metavar="COUNT", help="Conversations at once.")
@option("--quantization", metavar="LABEL", help="This one instead of the best: Q4_K_M, Q8_0 ...")
@option("--bits", metavar="2|3|4|5|6|8|16|32", help="The same, as --bits of the other verbs.")
@option("--kv-type", metavar="TYPE", help="Number type of the KV cache: f16, q8_0, q4_0 ...")
@option(
    "--measure/--no-measure", default=True, help="Measure this machine where it never was (ten seconds), or assume."
)
@cost_options
@option("--report", metavar="FILE", help="Write a page with pictures: FILE.html.")
@option("--lang", metavar="en|zh", help="In this language; yours where not given.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    model: str | None,
    device: str | None,
    measure: bool,
    report: str | None,
    lang: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """The door."""
    from penjing.cli import talk
    from penjing.cli.model import require_known_sections
    from penjing.cli.plan import figures, pages, subject, table
    from penjing.cli.plan.document import document
    from penjing.cli.progress import shown
    from penjing.files import expanded
    from penjing.plan.answer import recommend

    require_known_sections()
    speaking(lang)
    if report:
        pages.require_page(expanded(report))
    money = figures.figures({name: given.pop(name) for name in FIELDS})
    wish = wished(**given)
    place = there(device) if device else None
    with shown() as progress:
        found = subject.with_quantization(subject.find(model or GUIDE, progress), wish.quantization)
    answer = recommend(found.candidates, place or here(measure), wish)
    bill = money.bill(answer)
    if report:
        pages.write(expanded(report), found, answer, bill)
    if as_json:
        talk.data_json(document(found, answer, bill))
    else:
        table.show(found, answer, bill)


def speaking(language: str | None) -> None:
    """From now on in that language. Raises SettingError."""
    if language is None:
        return
    if language not in LANGUAGES:
        raise SettingError(name="lang", value=language, wanted="en or zh", source="--lang")
    os.environ["PENJING_LANGUAGE"] = language


def wished(
    context: str | None, parallel: str | None, quantization: str | None, bits: str | None, kv_type: str | None
) -> Wish:
    """What was asked for. Raises SettingError."""
    from penjing.plan.answer import Wish
    from penjing.plan.memory import KV_BYTES
    from penjing.shrink.bits import BY_BITS, SAID

    if bits is not None:
        if not bits.isdigit() or int(bits) not in BY_BITS:
            raise SettingError(name="bits", value=bits, wanted=SAID, source="--bits")
        quantization = quantization or BY_BITS[int(bits)]
    if kv_type is not None and kv_type not in KV_BYTES:
        raise SettingError(name="kv_type", value=kv_type, wanted=", ".join(KV_BYTES), source="--kv-type")
    return Wish(
        context=whole("context", context, "--context") if context else None,
        slots=whole("parallel", parallel, "--parallel") if parallel else 1,
        quantization=quantization or "",
        kv_type=kv_type or "f16",
    )


def whole(name: str, text: str, flag: str) -> int:
    """A number of at least one. Raises SettingError."""
    if not text.isdecimal() or not 0 < int(text) <= 1 << 30:
        raise SettingError(name=name, value=text, wanted="a whole number of at least 1", source=flag)
    return int(text)


def there(device: str) -> Place:
    """A device of the catalogue. Raises UnknownDevice, SeveralDevices."""
    from penjing.plan import devices, place

    return place.there(devices.find(device))


def here(measure: bool) -> Place:
    """This machine, measured where it never was and may be. Raises MemoryHidden, CalibrationFailed."""
    from penjing.cli.progress import shown
    from penjing.plan import place
    from penjing.probe import calibrate, machine

    found = machine.read()
    known = calibrate.kept(found)
    if known is None and measure and not busy():
        with shown() as report:
            known = calibrate.calibrate(found, report)
    return place.here(found, known, _gpu_memory() if any(not gpu.shared for gpu in found.gpus) else 0)


def busy() -> bool:
    """Whether other programs take so much of the processor that measuring would take long and tell little."""
    import psutil

    return bool(psutil.cpu_percent(interval=0.3) > BUSY)


def _gpu_memory() -> int:
    """Bytes that are free on GPUs that the library in use can compute on."""
    from penjing.engines.llamacpp import devices
    from penjing.native import libraries

    usable = devices.of(libraries.in_use())
    return sum(device.memory_free for device in usable if device.kind not in ("cpu", "metal"))
