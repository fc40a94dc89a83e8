"""What would make this machine better at running a language model, from what the probe found.

Recommended are 16 GB of memory and 8 cores: what a 7 B model at 4 bits takes beside a desktop, and what keeps up with
reading. Everything here is advice; nothing of it stops a model that fits.

Does not know: which model, whether penjing itself works (`penjing doctor` tries that).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penjing.files import human
from penjing.language import say
from penjing.probe.calibrate import Calibration
from penjing.probe.condition import Condition
from penjing.probe.machine import Machine

MEMORY, CORES = 15_000_000_000, 8
"""What is recommended; a computer sold with 16 GB keeps some of it to itself."""
LITTLE_FREE = 2_000_000_000
SWAP_USED = 0.5
HOT = 90.0
"""Degrees from which processors begin to slow down."""
DISK_LEFT = 0.05
X86 = ("x86_64", "AMD64", "i386", "i686")
GOVERNOR = {"Linux": "sudo cpupower frequency-set -g performance", "Darwin": "sudo pmset -a lowpowermode 0"}
PROFILE = {"Linux": "powerprofilesctl set performance", "Darwin": "sudo pmset -a lowpowermode 0"}
COMPILER = {"Linux": "sudo apt install build-essential", "Darwin": "xcode-select --install"}
SWAP = "sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile"


@dataclass(frozen=True)
class Advice:
    """What was found and what to do about it, in the reader's language; `about` is one word for it."""

    about: str
    found: str
    next: str


def improve(machine: Machine, condition: Condition, more: Iterable[Advice] = ()) -> tuple[Advice, ...]:
    """Everything that could be better, the weightiest first; `more` comes last."""
    return (
        *_instructions(machine),
        *_memory(machine),
        *_cores(machine),
        *_limits(machine),
        *_power(machine, condition),
        *_heat(condition),
        *_swap(machine),
        *_disk(condition),
        *_compiler(machine, condition),
        *more,
    )


def _instructions(machine: Machine) -> Iterator[Advice]:
    if machine.architecture in X86 and machine.features and "AVX2" not in machine.instructions:
        found = say("{cpu} has no AVX2, which the llama.cpp wheel needs.", cpu=machine.cpu)
        yield Advice("instructions", found, say("Build xllamacpp from source, or use another machine."))
    if machine.architecture == "aarch64" and machine.features and "dotprod" not in machine.instructions:
        found = say("{cpu} has no dot product instructions: 8-bit products are several times slower.", cpu=machine.cpu)
        yield Advice("instructions", found, say("Prefer models of at most 1 B parameters."))


def _memory(machine: Machine) -> Iterator[Advice]:
    if machine.memory_total < MEMORY:
        found = say("{total} of memory; 16 GB are recommended.", total=human(machine.memory_total))
        yield Advice("memory", found, say("Models of about {size} fit.", size=human(0.6 * machine.memory_total)))
    if machine.memory_available < min(LITTLE_FREE, machine.memory_total // 4):
        found = say("only {free} of memory are free.", free=human(machine.memory_available))
        yield Advice("memory", found, say("Close other programs."))


def _cores(machine: Machine) -> Iterator[Advice]:
    if machine.physical_cores < CORES and not any(gpu.kind != "other" for gpu in machine.gpus):
        found = say("{cores} cores; 8 are recommended.", cores=machine.physical_cores)
        yield Advice("cores", found, say("Small models answer quickest: penjing plan MODEL tells how quick."))


def _limits(machine: Machine) -> Iterator[Advice]:
    limits = machine.limits
    parts = []
    if limits.memory is not None and limits.memory <= machine.memory_total:
        parts.append(human(limits.memory))
    if limits.cpus is not None:
        parts.append(say("{cpus:g} cores", cpus=limits.cpus))
    if parts:
        found = say("This container may use {limits}.", limits=", ".join(parts))
        yield Advice("limits", found, "docker run --memory 16g --cpus 8 ...")


def _power(machine: Machine, condition: Condition) -> Iterator[Advice]:
    power = condition.power
    if power.saving:
        found = say("The power plan holds the processor back ({setting}).", setting=power.saving)
        commands = PROFILE if power.saving.startswith("profile") else GOVERNOR
        yield Advice("power", found, commands.get(machine.system, ""))
    if 0 < power.frequency_allowed < 0.95 * power.frequency_most:
        allowed, most = power.frequency_allowed / 1e9, power.frequency_most / 1e9
        found = say("The processor may run at {allowed:.1f} of {most:.1f} GHz.", allowed=allowed, most=most)
        yield Advice("power", found, f"sudo cpupower frequency-set -u {most:.2f}GHz")
    if power.on_battery:
        found = say("It runs on battery ({percent} %), which makes most machines slower.", percent=power.battery)
        yield Advice("power", found, say("Plug it in."))


def _heat(condition: Condition) -> Iterator[Advice]:
    heat = condition.heat
    if heat.throttling:
        yield Advice("heat", say("It is slowed down now: {what}.", what=heat.throttling), _cooler(heat.throttling))
    elif heat.throttled:
        found = say("It has been slowed down since it was switched on: {what}.", what=heat.throttled)
        yield Advice("heat", found, _cooler(heat.throttled))
    if heat.hottest and heat.hottest.celsius >= HOT:
        found = say("{zone} is at {celsius:.0f} °C.", zone=heat.hottest.name, celsius=heat.hottest.celsius)
        yield Advice("heat", found, say("Give it air, or wait until it has cooled down."))


def _cooler(what: str) -> str:
    if "under-voltage" in what:
        return say("Use the power supply that its maker recommends.")
    return say("Give it air, or wait until it has cooled down.")


def _swap(machine: Machine) -> Iterator[Advice]:
    if (
        machine.system == "Linux"
        and not machine.swap_total
        and machine.memory_total < MEMORY
        and not machine.limits.memory
    ):
        found = say("There is no swap: when memory runs out, the system ends a program.")
        yield Advice("swap", found, SWAP)
    if machine.swap_total and machine.swap_used > SWAP_USED * machine.swap_total and machine.system != "Darwin":
        used, total = human(machine.swap_used), human(machine.swap_total)
        found = say("{used} of {total} swap are used: memory is short.", used=used, total=total)
        yield Advice("swap", found, say("Close other programs."))


def _disk(condition: Condition) -> Iterator[Advice]:
    if condition.disk_total and condition.disk_free < DISK_LEFT * condition.disk_total:
        found = say(
            "The disk of {path} is nearly full: {free} free.", path=condition.disk, free=human(condition.disk_free)
        )
        yield Advice("disk", found, say("Free some space, or move penjing's folder with PENJING_HOME=DIR."))


def _compiler(machine: Machine, condition: Condition) -> Iterator[Advice]:
    if not condition.compiler:
        found = say("There is no C compiler; packages without a wheel for this machine cannot be installed.")
        yield Advice("compiler", found, COMPILER.get(machine.system, ""))


def measured(calibration: Calibration | None) -> Iterator[Advice]:
    """What could be better about this machine's calibration."""
    if calibration is None:
        found = say("Its speed has not been measured, so plans for it are rough.")
        yield Advice("calibration", found, "penjing probe --calibrate")
    elif calibration.noisy:
        found = say("Other programs were running when its speed was measured.")
        yield Advice("calibration", found, say("Close them, then: penjing probe --calibrate"))
