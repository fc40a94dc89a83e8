"""What `penjing probe` says of a machine: rows for people, one document for programs.

Does not know: how any of it was found out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penjing.files import human
from penjing.language import say

if TYPE_CHECKING:
    from penjing.plan.devices import Device
    from penjing.probe.advice import Advice
    from penjing.probe.calibrate import Calibration
    from penjing.probe.condition import Condition
    from penjing.probe.machine import Machine

Row = tuple[str, str]
GIB = 1 << 30


def document(
    machine: Machine,
    condition: Condition,
    calibration: Calibration | None,
    advice: tuple[Advice, ...],
    library: tuple[str, ...],
) -> dict[str, Any]:
    """Everything, as JSON can hold it. Units as in `Machine`, `Condition` and `Calibration`; `library` are the
    instruction sets that the installed library uses."""
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(machine, enc_hook=str)
    found["features"] = sorted(found["features"])
    found["instructions"] = list(machine.instructions)
    found["library_instructions"] = list(library)
    found["condition"] = msgspec.to_builtins(condition)
    found["calibration"] = msgspec.to_builtins(calibration) | {"noisy": calibration.noisy} if calibration else None
    found["advice"] = msgspec.to_builtins(advice)
    return found


def rows(machine: Machine, condition: Condition, library: tuple[str, ...]) -> list[Row]:
    """Name and value of what the machine is and how it is now; `library` as in `document`."""
    memory = say("{free} free of {total}", free=human(machine.memory_available), total=human(machine.memory_total))
    found = [(say("system"), f"{machine.system} {machine.architecture}")]
    if machine.model:
        found.append((say("computer"), machine.model))
    found += [
        (say("processor"), machine.cpu),
        (say("cores"), _cores(machine)),
        (say("instructions"), " ".join(machine.instructions) or "-"),
    ]
    if library:
        found.append((say("used by llama.cpp"), " ".join(library)))
    found += [(say("caches"), _caches(machine))] if machine.caches else []
    found.append((say("memory"), memory))
    swap = say(
        "{free} free of {total}", free=human(machine.swap_total - machine.swap_used), total=human(machine.swap_total)
    )
    found.append((say("swap"), swap if machine.swap_total else say("none")))
    return [*found, *_limits(machine), *_accelerators(machine), *_state(condition)]


def _cores(machine: Machine) -> str:
    cores = say(
        "{physical} physical, {logical} logical", physical=machine.physical_cores, logical=machine.logical_cores
    )
    if machine.performance_cores == machine.physical_cores:
        return cores
    return cores + say(", {fast} fast", fast=machine.performance_cores)


def _caches(machine: Machine) -> str:
    kinds = {"data": "d", "instruction": "i"}
    return ", ".join(
        f"L{cache.level}{kinds.get(cache.kind, '')} {cache.count} × {_binary(cache.bytes)}" for cache in machine.caches
    )


def _binary(size: int) -> str:
    """Caches are sold in powers of 1024.

    >>> _binary(48 << 10), _binary(300 << 20)
    ('48 KiB', '300 MiB')
    """
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def _limits(machine: Machine) -> Iterator[Row]:
    limits = machine.limits
    if limits.memory is not None:
        used = human(limits.memory_used)
        yield say("container"), say("{limit} of memory, {used} used", limit=human(limits.memory), used=used)
    if limits.cpus is not None:
        yield say("container"), say("{cpus:g} cores", cpus=limits.cpus)


def _accelerators(machine: Machine) -> Iterator[Row]:
    for gpu in machine.gpus:
        memory = say("{free} free of {total}", free=human(gpu.memory_free), total=human(gpu.memory_total))
        if gpu.shared:
            memory = say("which shares the machine's memory")
        elif not gpu.memory_total:
            memory = say("which does not tell its memory")
        yield say("GPU"), f"{gpu.name} ({gpu.kind}), {memory}"
    if not machine.gpus:
        yield say("GPU"), say("none")
    for npu in machine.npus:
        yield say("NPU"), npu.name


def _state(condition: Condition) -> Iterator[Row]:
    power, heat = condition.power, condition.heat
    if condition.disk_total:
        free = say("{free} free of {total}", free=human(condition.disk_free), total=human(condition.disk_total))
        yield say("disk"), f"{condition.disk}: {free}"
    if power.battery is not None:
        yield say("battery"), f"{power.battery} %" + (say(", in use") if power.on_battery else "")
    plan = [power.governor, power.driver, power.preference, power.profile]
    if any(plan):
        yield say("power plan"), ", ".join(word for word in plan if word)
    if power.frequency_most:
        allowed, most = power.frequency_allowed / 1e9, power.frequency_most / 1e9
        yield say("frequency"), say("{allowed:.2f} of {most:.2f} GHz allowed", allowed=allowed, most=most)
    if heat.zones:
        yield say("temperature"), ", ".join(f"{zone.name} {zone.celsius:.0f} °C" for zone in heat.zones)
    if heat.throttling:
        yield say("slowed down"), heat.throttling


def speed_rows(calibration: Calibration) -> list[Row]:
    """What a calibration says, for people."""
    when = say("{when}, {threads} threads", when=calibration.when, threads=calibration.threads)
    if calibration.noisy:
        when += say(", while other programs ran")
    one, all_ = f"{calibration.bandwidth_single / 1e9:.1f}", f"{calibration.bandwidth / 1e9:.1f}"
    found = [
        (say("measured"), when),
        (say("memory speed"), say("{one} GB/s with one thread, {all} GB/s with all", one=one, all=all_)),
    ]
    if calibration.disk is not None:
        found.append((say("disk speed"), f"{calibration.disk / 1e9:.2f} GB/s"))
    for kind, product in (*calibration.matmul.items(), (say("attention"), calibration.attention)):
        prefill, decode = f"{product.prefill / 1e9:.0f}", f"{product.decode / 1e9:.1f}"
        found.append(
            (kind, say("{prefill} GFLOP/s in prefill, {decode} GB/s in decode", prefill=prefill, decode=decode))
        )
    return found


def device_rows(devices: dict[str, Device]) -> list[tuple[str, ...]]:
    """One row a device: name, memory, memory speed, other names."""
    head = (say("device"), say("memory"), say("memory speed"), say("also called"))
    found: list[tuple[str, ...]] = [head]
    for device in devices.values():
        memory = " / ".join(str(size // GIB) for size in device.memories) + " GB"
        found.append((device.name, memory, f"{device.bandwidth / 1e9:.0f} GB/s", ", ".join(device.aliases)))
    return found
