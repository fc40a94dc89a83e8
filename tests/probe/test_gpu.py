"""Outputs recorded from the tools, shortened."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.probe import gpu, reading
from penjing.probe.reading import Reading

MIB = 1 << 20
NVIDIA_SMI = "NVIDIA H200, 143771, 143155\nNVIDIA GeForce RTX 4090, 24564, 1234\n"
VULKANINFO = """\
==========
VULKANINFO
==========

Vulkan Instance Version: 1.3.275

Devices:
========
GPU0:
\tapiVersion         = 1.3.274
\tdriverVersion      = 24.0.5
\tdeviceType         = PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
\tdeviceName         = AMD Radeon Graphics (RADV RENOIR)
\tdriverName         = radv
GPU1:
\tapiVersion         = 1.3.274
\tdeviceType         = PHYSICAL_DEVICE_TYPE_CPU
\tdeviceName         = llvmpipe (LLVM 17.0.6, 256 bits)
"""
SYSTEM_PROFILER = json.dumps(
    {
        "SPDisplaysDataType": [
            {
                "_name": "Apple M2 Pro",
                "spdisplays_mtlgpufamilysupport": "spdisplays_metal3",
                "sppci_model": "Apple M2 Pro",
                "sppci_cores": "16",
            }
        ]
    }
)


def test_nvidia_smi() -> None:
    cards = gpu.cuda(NVIDIA_SMI)
    assert [card.name for card in cards] == ["NVIDIA H200", "NVIDIA GeForce RTX 4090"]
    assert cards[0] == gpu.Gpu("cuda", "NVIDIA H200", 143771 * MIB, 143155 * MIB)


def test_nvidia_smi_of_a_driver_in_trouble() -> None:
    assert gpu.cuda("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n") == ()
    assert gpu.cuda("NVIDIA Orin, [N/A], [N/A]\n") == ()


def test_vulkaninfo_leaves_software_renderers_out() -> None:
    ((_, card),) = gpu.vulkan(VULKANINFO)
    assert card == gpu.Gpu("vulkan", "AMD Radeon Graphics (RADV RENOIR)", shared=True)


def test_system_profiler_shares_the_machines_memory() -> None:
    assert gpu.metal(SYSTEM_PROFILER, 32, 20) == (gpu.Gpu("metal", "Apple M2 Pro", 32, 20, shared=True),)


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"SPDisplaysDataType": [{"_name": "old"}, 3]}'])
def test_system_profiler_without_metal(text: str) -> None:
    assert gpu.metal(text, 32, 20) == ()


@given(st.text(max_size=300))
def test_no_text_is_too_odd(text: str) -> None:
    assert all(
        card.memory_total >= 0
        for card in gpu.cuda(text) + tuple(card for _, card in gpu.vulkan(text)) + gpu.metal(text, 1, 1)
    )


def test_render_nodes_are_gpus_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "dev/dri").mkdir(parents=True)
    for name in ("card0", "renderD129", "renderD128"):
        (tmp_path / "dev/dri" / name).touch()
    assert [card.name for card in gpu.render_nodes(Reading(tmp_path))] == ["renderD128", "renderD129"]
    assert gpu.render_nodes(Reading(tmp_path / "absent")) == ()


def test_a_radeon_tells_its_memory(tmp_path: Path) -> None:
    device = tmp_path / "sys/class/drm/renderD128/device"
    device.mkdir(parents=True)
    for name, text in {
        "vendor": "0x1002",
        "device": "0x1638",
        "mem_info_vram_total": "8",
        "mem_info_vram_used": "3",
    }.items():
        (device / name).write_text(text + "\n")
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/renderD128").touch()
    assert gpu.render_nodes(Reading(tmp_path)) == (gpu.Gpu("other", "AMD renderD128", 8, 5),)


def linux(root: Path) -> Reading:
    """A machine with the tools of this one's PATH and nothing else."""
    found = Reading(root)
    found.system = "Linux"
    return found


def test_tools_that_fail_hang_or_are_absent_mean_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.read(linux(tmp_path), 0, 0) == ()
    for name, body in {"nvidia-smi": "exit 9", "vulkaninfo": "read forever < /dev/zero"}.items():
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{body}\n")
        tool.chmod(0o755)
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    assert gpu.read(linux(tmp_path), 0, 0) == ()


def test_a_tool_that_works_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho NVIDIA T4, 15360, 15000\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.read(linux(tmp_path), 0, 0) == (gpu.Gpu("cuda", "NVIDIA T4", 15360 * MIB, 15000 * MIB),)


def test_a_jetson_shares_its_memory(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3\n")
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("NVIDIA Jetson AGX Orin Developer Kit\0")
    expected = gpu.Gpu("cuda", "NVIDIA Jetson AGX Orin Developer Kit", 64, 50, shared=True)
    assert gpu.read(linux(tmp_path), 64, 50) == (expected,)


def test_vulkans_card_gets_the_memory_that_linux_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "sys/class/drm/renderD128/device"
    device.mkdir(parents=True)
    for name, text in {
        "vendor": "0x1002",
        "device": "0x744c",
        "mem_info_vram_total": "24",
        "mem_info_vram_used": "4",
    }.items():
        (device / name).write_text(text)
    tool = tmp_path / "vulkaninfo"
    lines = ("GPU0:", "vendorID = 0x1002", "deviceID = 0x744c", "deviceType = X_DISCRETE_GPU", "deviceName = RX 7900")
    tool.write_text("#!/bin/sh\n" + "\n".join(f"echo '{line}'" for line in lines) + "\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.read(linux(tmp_path), 0, 0) == (gpu.Gpu("vulkan", "RX 7900", 24, 20),)
