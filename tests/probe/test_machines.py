"""Probes of other machines, from their recordings (`machines/README.md`)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.probe import condition, heat, machine, memory, power
from penjing.probe.machine import Machine
from penjing.probe.memory import MemoryHidden
from penjing.probe.reading import NoRecording, Reading, Recorded, Recorder

FOLDER = Path(__file__).parent / "machines"
GIB = 1 << 30


def probed(name: str) -> Machine:
    return machine.read(Recorded.load(FOLDER / f"{name}.json"))


def condition_of(name: str) -> condition.Condition:
    return condition.read(Recorded.load(FOLDER / f"{name}.json"))


CORES = {
    "linux-x86-amx": (2, 2, 2),
    "linux-x86-avx2": (8, 8, 8),
    "linux-arm-grace": (72, 72, 72),
    "linux-intel-laptop": (10, 2, 12),
    "raspberry-pi-5": (4, 4, 4),
    "android-snapdragon-845": (8, 4, 8),
    "macos-m1": (8, 4, 8),
    "macos-intel": (8, 8, 16),
    "docker-cgroup-v1": (3, 3, 3),
    "kubernetes-cgroup-v2": (4, 4, 4),
}


@pytest.mark.parametrize(("name", "cores"), CORES.items())
def test_cores(name: str, cores: tuple[int, int, int]) -> None:
    found = probed(name)
    assert (found.physical_cores, found.performance_cores, found.logical_cores) == cores


@pytest.mark.parametrize(
    ("name", "cpu", "instructions"),
    [
        ("linux-x86-amx", "Xeon", "AVX AVX2 FMA F16C AVX-512 VNNI AMX FP16 BF16"),
        ("linux-x86-avx2", "AMD Ryzen 7 2700X", "AVX AVX2"),
        ("linux-intel-laptop", "Ultra 7 155U", "AVX AVX2 FMA F16C VNNI"),
        ("linux-arm-grace", "Neoverse-V2", "NEON dotprod i8mm SVE SVE2 FP16 BF16"),
        ("raspberry-pi-5", "Cortex-A76", "NEON dotprod FP16"),
        ("android-snapdragon-845", "Kryo-3XX-Silver + Kryo-3XX-Gold", "NEON FP16"),
        ("macos-m1", "Apple M1", "NEON dotprod FP16"),
        ("macos-intel", "i9-9880H", "AVX AVX2 FMA F16C"),
    ],
)
def test_processor(name: str, cpu: str, instructions: str) -> None:
    found = probed(name)
    assert cpu in found.cpu
    assert " ".join(found.instructions) == instructions


@pytest.mark.parametrize(
    ("name", "total", "available", "swap_total", "swap_used"),
    [
        ("linux-x86-avx2", 16303428 << 10, 9876544 << 10, 8388604 << 10, 1048576 << 10),
        ("raspberry-pi-5", 8255888 << 10, 7890688 << 10, 2 * GIB, 0),
        # an old kernel tells no MemAvailable: free, buffers and cache
        ("android-snapdragon-845", 3708660 << 10, (98244 + 5352 + 1392840) << 10, 2097148 << 10, 791552 << 10),
        ("macos-m1", 16 * GIB, (30589 + 419065 + 5280) * 16384, 5120 << 20, int(4259.25 * (1 << 20))),
        ("macos-intel", 16 * GIB, (37279 + 1152997 + 6214) * 4096, 0, 0),
        ("docker-cgroup-v1", 4 * GIB, 3 * GIB, 0, 0),
        ("kubernetes-cgroup-v2", 8 * GIB, 6 * GIB, 0, 0),
    ],
)
def test_memory(name: str, total: int, available: int, swap_total: int, swap_used: int) -> None:
    found = probed(name)
    assert (found.memory_total, found.memory_available) == (total, available)
    assert (found.swap_total, found.swap_used) == (swap_total, swap_used)


def test_a_machine_that_hides_its_memory_is_an_error_and_no_guess() -> None:
    with pytest.raises(MemoryHidden, match="/proc/meminfo"):
        probed("memory-hidden")
    with pytest.raises(MemoryHidden, match="vm_stat"):
        probed("macos-m2")
    with pytest.raises(MemoryHidden, match=r"hw\.memsize"):
        memory.mach("", "")


def test_limits() -> None:
    assert probed("docker-cgroup-v1").limits.cpus == 2.5
    assert probed("kubernetes-cgroup-v2").limits.cpus == 4.0
    assert probed("kubernetes-cgroup-v2").limits.memory == 8 * GIB
    assert probed("linux-x86-amx").limits.memory is None
    assert probed("linux-x86-avx2").limits.cpus is None


def test_caches() -> None:
    levels = [(cache.level, cache.kind, cache.bytes, cache.count) for cache in probed("macos-m1").caches]
    assert levels[:3] == [(1, "data", 131072, 4), (1, "instruction", 196608, 4), (2, "unified", 12582912, 1)]
    assert probed("macos-intel").last_cache == 16 << 20
    assert probed("linux-x86-amx").last_cache == 300 << 20
    assert probed("raspberry-pi-5").last_cache == 0


def test_gpus_and_npus() -> None:
    assert [gpu.name for gpu in probed("kubernetes-cgroup-v2").gpus] == ["NVIDIA GeForce RTX 4090"]
    (mac,) = probed("macos-m1").gpus
    assert (mac.kind, mac.shared, mac.memory_total) == ("metal", True, 16 * GIB)
    (laptop,) = probed("linux-intel-laptop").gpus
    assert (laptop.kind, laptop.name, laptop.shared) == ("vulkan", "Intel(R) Graphics (MTL)", True)
    assert [gpu.name for gpu in probed("raspberry-pi-5").gpus] == ["renderD128"]
    assert probed("linux-x86-avx2").gpus == ()
    npus = {name: [npu.name for npu in probed(name).npus] for name in CORES}
    assert npus["linux-intel-laptop"] == ["Intel NPU"]
    assert npus["android-snapdragon-845"] == ["Qualcomm Hexagon"]
    assert npus["macos-m1"] == ["Apple Neural Engine"]
    assert npus["linux-x86-amx"] == npus["macos-intel"] == []


def test_names_of_computers() -> None:
    assert probed("raspberry-pi-5").model == "Raspberry Pi 5 Model B Rev 1.0"
    assert probed("linux-intel-laptop").model == "21M3CTO1WW"
    assert probed("macos-m1").model == "MacBookAir10,1"


def test_power() -> None:
    laptop = condition_of("linux-intel-laptop").power
    assert (laptop.battery, laptop.on_battery) == (98, True)  # the mouse's battery is not the machine's
    assert laptop.saving == "energy_performance_preference power"
    assert condition_of("linux-x86-avx2").power.saving == "governor powersave"
    assert condition_of("raspberry-pi-5").power.saving == ""
    assert condition_of("raspberry-pi-5").power.battery is None
    phone = condition_of("android-snapdragon-845").power
    assert (phone.battery, phone.on_battery) == (17, True)
    mac = condition_of("macos-m1").power
    assert (mac.battery, mac.on_battery, mac.saving) == (78, True, "profile low power mode")
    assert power.Power(turbo=False).saving == "no turbo"


def test_heat() -> None:
    pi = condition_of("raspberry-pi-5").heat
    assert (pi.throttling, pi.throttled) == ("under-voltage, throttled", "under-voltage, throttled")
    assert [zone.name for zone in pi.zones] == ["bcm2835_thermal"]  # -44 degrees is no temperature
    laptop = condition_of("linux-intel-laptop").heat
    assert laptop.hottest
    assert (laptop.hottest.celsius, laptop.throttling, laptop.throttled) == (97.0, "", "34×")
    assert condition_of("macos-m1").heat.throttling == "CPU_Speed_Limit 85 %"
    assert condition_of("linux-x86-amx").heat.hottest is None


def test_a_recording_gives_back_what_was_recorded(tmp_path: Path) -> None:
    recorder = Recorder()
    here, now = machine.read(recorder), condition.read(recorder)
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(recorder.recording))
    again = Recorded.load(path)
    assert machine.read(again) == here
    assert condition.read(again) == now


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"system": "Linux"}', '{"files": 3}'])
def test_what_is_no_recording(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    with pytest.raises(NoRecording, match=r"machine\.json"):
        Recorded.load(path)


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_is_too_odd(first: str, second: str) -> None:
    """Whatever the system's files say, there is a value or the error that says what is hidden."""
    files = {"/proc/cpuinfo": first, "/proc/self/cgroup": second, "/proc/meminfo": "MemTotal: 5 kB\n" + first}
    files |= {"/sys/fs/cgroup/memory.max": first, "/sys/fs/cgroup/cpu.max": second}
    for system in ("Linux", "Darwin"):
        outputs = {"sysctl -a": first + "\nhw.memsize: 9\n", "vm_stat": "(page size of 1 bytes)\n" + second}
        outputs |= {"pmset -g batt": first, "pmset -g therm": second, "vcgencmd get_throttled": first}
        recording = {"system": system, "architecture": "x", "affinity": [0], "files": files, "outputs": outputs}
        found = Recorded(recording)
        assert machine.read(found).memory_total >= 0
        assert power.read(found).battery is None or system == "Darwin"
        assert heat.read(found).zones == ()


def test_a_path_below_another_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/name").write_text("here\0\n")
    reading = Reading(tmp_path)
    assert (reading.text("/etc/name"), reading.text("/etc/none"), reading.names("/etc")) == ("here", "", ["name"])
    assert reading.output("no-such-tool-anywhere") == ""
