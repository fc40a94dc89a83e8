from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from penjing.cli import probe as verb
from penjing.probe import calibrate
from shells import Shell


def test_this_machine(shell: Shell) -> None:
    found = json.loads(shell("probe", "--json").out)
    assert found["physical_cores"] >= 1
    assert found["memory_total"] >= found["memory_available"] > 0
    assert isinstance(found["features"], list)
    assert "memory" in shell("probe").out
    assert "内存" in shell("probe", PENJING_LANGUAGE="zh").out


MACHINES = Path(__file__).parents[1] / "probe" / "machines"


def test_the_document_is_complete(shell: Shell) -> None:
    found = json.loads(shell("probe", "--json").out)
    assert {"instructions", "library_instructions", "caches", "limits", "npus", "swap_total"} <= found.keys()
    assert {"power", "heat", "disk", "disk_free", "compiler"} <= found["condition"].keys()
    assert found["calibration"] is None
    assert {"about": "calibration"}.items() <= found["advice"][-1].items()


def test_recorded_and_shown_again(shell: Shell) -> None:
    here = json.loads(shell("probe", "--record", "here.json", "--json").out)
    again = json.loads(shell("probe", "--from", "here.json", "--json").out)
    moving = {"calibration", "advice", "library_instructions"}
    assert {key: here[key] for key in here.keys() - moving} == {key: again[key] for key in again.keys() - moving}
    assert again["library_instructions"] == []


def test_another_machine_in_two_languages(shell: Shell) -> None:
    laptop = str(MACHINES / "linux-intel-laptop.json")
    said = shell("probe", "--from", laptop).out
    for words in ("Ultra 7 155U", "10 physical, 12 logical, 2 fast", "Intel NPU", "98 %, in use", "x86_pkg_temp 97 °C"):
        assert words in said
    assert "sudo cpupower frequency-set -g performance" in said
    assert "calibrat" not in said  # another machine's speed cannot be measured here
    chinese = shell("probe", "--from", laptop, PENJING_LANGUAGE="zh").out
    assert "电源计划限制了处理器" in chinese
    assert "shares" not in chinese


def test_a_machine_that_hides_its_memory(shell: Shell) -> None:
    done = shell("probe", "--from", str(MACHINES / "memory-hidden.json"))
    assert done.status == 4
    assert "/proc/meminfo" in done.err


def test_measured_shown_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real measurement, in small: the measuring process gets sizes and times of its own."""
    script = tmp_path / "small.py"
    script.write_text(
        "import sys\nfrom penjing.probe import disk, measure\nmeasure.LEAST = measure.MOST = 16 << 20\n"
        "measure.ENOUGH = measure.PATIENCE = 0.02\ndisk.read_rate.__defaults__ = (8 << 20,)\n"
        "measure.TYPES = ('Q8_0', 'Q4_K')\nsys.exit(measure.main())\n"
    )
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(calibrate, "COMMAND", (sys.executable, str(script)))
    verb.probe.main(["--calibrate"], standalone_mode=False)
    said = capsys.readouterr()
    assert "Multiplying matrices" in said.err
    assert "GFLOP/s in prefill" in said.out
    verb.probe.main(["--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert set(found["calibration"]["matmul"]) == {"Q8_0", "Q4_K"}
    assert isinstance(found["calibration"]["noisy"], bool)


@pytest.mark.extras
def test_the_whole_measurement(shell: Shell) -> None:
    shell("probe", "--calibrate")
    found = json.loads(shell("probe", "--json").out)["calibration"]
    assert {"F16", "Q8_0", "Q4_K", "Q6_K"} <= found["matmul"].keys()
    assert found["bandwidth"] > 1e9


def test_devices(shell: Shell) -> None:
    assert "骁龙 8 Gen 3" in shell("probe", "--devices").out
    found = json.loads(shell("probe", "--devices", "--json").out)
    assert {"Raspberry Pi 5", "Apple M4"} <= {device["name"] for device in found}


@pytest.mark.parametrize(
    "words", [("--devices", "--calibrate"), ("--from", "x", "--record", "y"), ("guide", "--calibrate")]
)
def test_what_does_not_go_together(shell: Shell, words: tuple[str, ...]) -> None:
    done = shell("probe", *words)
    assert done.status == 2
    assert "different things" in done.err


def test_a_model(shell: Shell, tiny: Path) -> None:
    found = json.loads(shell("probe", str(tiny), "--json").out)
    assert found["architecture"] == "llama"
    assert found["context"] == 512
    assert found["tensors"] == 2 * 9 + 2
    assert found["path"] == str(tiny)
    assert "512 tokens" in shell("probe", str(tiny)).out


def test_the_built_in_model(shell: Shell) -> None:
    found = json.loads(shell("probe", "guide", "--json").out)
    assert 4e6 < found["parameters"] < 1.2e7
    assert found["chat_template"]
