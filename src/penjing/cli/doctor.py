"""The verb `doctor`: tries what penjing needs, one thing after another, says what to do about what fails, what this
machine is and what would make it better."""

from __future__ import annotations

import asyncio
import locale
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.faults import foreseen
from penjing.cli.table import print_rows
from penjing.cli.verb import option, verb
from penjing.files import home, human, write_whole
from penjing.language import say

if TYPE_CHECKING:
    from penjing.probe.advice import Advice
    from penjing.probe.calibrate import Calibration
    from penjing.probe.condition import Condition
    from penjing.probe.machine import Machine

OLDEST = (3, 10)
ENOUGH_DISK = 5_000_000_000
"""Bytes that a 7 B model at 4 bits takes."""
EXAMPLES = (("penjing doctor", "Check this installation."),)
FAILED = 1


@dataclass(frozen=True)
class Finding:
    """One check: whether it went well, what was found, and what to type where it did not; or a piece of advice, which
    is `ok` and has a `next`."""

    name: str
    ok: bool
    detail: str
    next: str = ""


@verb("doctor", help="Check what works here, and what to do about the rest.", examples=EXAMPLES)
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """The door; exit status 1 where a check failed."""
    findings = []
    for name, check in CHECKS.items():
        findings.append(judged(say(name), check))
        if not as_json:
            show(findings[-1])
    machine = Here.look()
    findings += machine.advised() if machine else []
    if as_json:
        talk.data_json({"checks": [asdict(one) for one in findings], "machine": machine and machine.document()})
    elif machine:
        talk.data("")
        print_rows(machine.rows())
        for finding in findings[len(CHECKS) :]:
            show(finding)
    return 0 if all(finding.ok for finding in findings) else FAILED


def show(finding: Finding) -> None:
    """One line, and the next step under it where there is one."""
    sign, colour = ("✗", talk.RED) if not finding.ok else ("!", talk.YELLOW) if finding.next else ("✓", talk.GREEN)
    talk.data(f"{talk.painted(sign, colour, sys.stdout)} {finding.name}: {finding.detail}")
    if finding.next:
        talk.data(f"  {say('next:')} {finding.next}")


@dataclass(frozen=True)
class Here:
    """This machine, how it is now, how fast it was measured to be, and what would make it better."""

    machine: Machine
    condition: Condition
    speed: Calibration | None
    advice: tuple[Advice, ...]
    library: tuple[str, ...]

    @classmethod
    def look(cls) -> Here | None:
        """None where it cannot be looked into, which a check has said by then."""
        from penjing.errors import MachineError
        from penjing.probe import advice, calibrate, condition, machine
        from penjing.probe.offers import used

        try:
            here = machine.read()
        except MachineError:
            return None
        now, speed = condition.read(), calibrate.kept(here)
        return cls(here, now, speed, advice.improve(here, now, advice.measured(speed)), used())

    def advised(self) -> list[Finding]:
        """Advice as findings, which are no failures."""
        return [Finding(say(one.about), True, one.found, one.next) for one in self.advice]

    def rows(self) -> list[tuple[str, str]]:
        """Name and value, as `penjing probe` prints them."""
        from penjing.cli.machine import rows, speed_rows

        return [*rows(self.machine, self.condition, self.library), *(speed_rows(self.speed) if self.speed else [])]

    def document(self) -> dict[str, Any]:
        """As `penjing probe --json` prints it."""
        from penjing.cli.machine import document

        return document(self.machine, self.condition, self.speed, self.advice, self.library)


def judged(name: str, check: Callable[[], tuple[str, str]]) -> Finding:
    """What a check found; one that raises has failed with the error's message and advice."""
    try:
        detail, advice = check()
    except Exception as error:
        known = foreseen(error)
        return Finding(name, False, known.message(), known.advice())
    return Finding(name, not advice, detail, advice)


def python() -> tuple[str, str]:
    """Found and advice."""
    found = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    return found, "" if sys.version_info >= OLDEST else say("Install Python 3.10 or newer.")


def text() -> tuple[str, str]:
    """Whether Chinese can be printed."""
    encoding = (sys.stdout.encoding or locale.getpreferredencoding()).lower()
    return encoding, "" if encoding.replace("-", "") == "utf8" else "export PYTHONUTF8=1"


def folder() -> tuple[str, str]:
    """Whether penjing's own folder can be written, and how much room there is."""
    import shutil

    place = home()
    try:
        write_whole(place / ".doctor", b"written by penjing doctor\n").unlink()
    except OSError as error:
        return f"{place}: {error.strerror}", "export PENJING_HOME=DIR"
    free = shutil.disk_usage(place).free
    found = say("{path}, {free} free", path=place, free=human(free))
    return found, "" if free > ENOUGH_DISK else say("Free some space: a model of 7 B at 4 bits takes 5 GB.")


def settings() -> tuple[str, str]:
    """Whether the settings files can be used: every section is read, nothing is started. Raises what is wrong."""
    from penjing.cli.engines import served
    from penjing.cli.model import require_known_sections
    from penjing.cli.reference import sections
    from penjing.settings import load, places

    require_known_sections()
    for section, kind in sections().items():
        load(kind, section)
    served((), {})
    found = [str(place) for place in places() if place.is_file()]
    return ", ".join(found) or say("no files, so the defaults"), ""


def memory() -> tuple[str, str]:
    """What models fit."""
    from penjing.probe import machine

    here = machine.read(gpus=False)
    return say("{free} free of {total}", free=human(here.memory_available), total=human(here.memory_total)), ""


def library() -> tuple[str, str]:
    """Whether the llama.cpp in use loads, and the devices it can compute on."""
    from penjing.engines.llamacpp import devices
    from penjing.native import libraries

    used = libraries.in_use()
    found = ", ".join(f"{device.name} ({device.kind})" for device in devices.of(used)) or "cpu"
    return (f"{used.name}: {found}" if used.native else found), ""


def engine() -> tuple[str, str]:
    """Whether the built-in model answers."""
    from penjing.cli.chat.session import ChatSettings, Session
    from penjing.cli.model import Chosen, open_engine
    from penjing.engines.llamacpp import EngineOptions

    async def answer() -> float:
        session = Session(open_engine(Chosen(), EngineOptions(max_context=512, parallel=1)), ChatSettings(max_tokens=4))
        session.conversation.add("user", "Hello")
        begun = time.perf_counter()
        try:
            await session.engine.start()
            said = await session.answer(lambda delta: None)
        finally:
            await session.engine.stop()
        return said.clock.first - begun

    return say("the built-in model answered after {seconds:.2f} s", seconds=asyncio.run(answer())), ""


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "Python": python,
    "Text": text,
    "Folder": folder,
    "Settings": settings,
    "Memory": memory,
    "llama.cpp": library,
    "Engine": engine,
}
