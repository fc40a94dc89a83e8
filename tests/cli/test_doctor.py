from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.cli import doctor
from penjing.cli.doctor import CHECKS, judged
from penjing.errors import PortInUse
from shells import Shell


def test_everything_works_here(shell: Shell) -> None:
    done = shell("doctor", "--json")
    document = json.loads(done.out)
    findings = {finding["name"]: finding for finding in document["checks"]}
    assert document["machine"]["memory_total"] > 0
    assert len(document["machine"]["advice"]) == len(findings) - len(CHECKS)
    assert list(findings)[: len(CHECKS)] == list(CHECKS)
    assert all(finding["ok"] and finding["next"] for finding in list(findings.values())[len(CHECKS) :])
    assert findings["Engine"]["ok"]
    assert findings["llama.cpp"]["ok"]
    assert done.status == (0 if all(finding["ok"] for finding in findings.values()) else 1)


def test_what_fails_says_what_to_do(shell: Shell) -> None:
    Path("file").write_text("")
    done = shell("doctor", PENJING_HOME=str(Path("file/home").absolute()), PENJING_LANGUAGE="zh")
    assert done.status == 1
    assert "✗ 存放目录：" in done.out.replace(": ", "：")
    assert "PENJING_HOME" in done.out


def test_a_check_that_raises_has_failed() -> None:
    def check() -> tuple[str, str]:
        raise PortInUse(host="h", port=1, free=2)

    finding = judged("port", check)
    assert not finding.ok
    assert finding.detail == "Port 1 on h is in use by another program."
    assert finding.next == "Choose another: --port 2"


def test_an_old_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OLDEST", (9, 9))
    assert doctor.python()[1]


def test_settings_that_cannot_be_used(shell: Shell) -> None:
    for text, said in (
        ("[engine]\nthreads = 0\n", "engine.threads"),
        ("[colours]\n", "colours"),
        ('[[route.rules]]\nname = "r"\n', "a rule needs"),
        ("[engines.a]\nparallel = 2\n", "neither which model"),
    ):
        Path("penjing.toml").write_text(text)
        done = shell("doctor", "--json")
        (settings,) = [finding for finding in json.loads(done.out)["checks"] if finding["name"] == "Settings"]
        assert done.status == 1
        assert said in settings["detail"]
    Path("penjing.toml").write_text("[engine]\nthreads = 1\n")
    (settings,) = [one for one in json.loads(shell("doctor", "--json").out)["checks"] if one["name"] == "Settings"]
    assert settings == {"name": "Settings", "ok": True, "detail": "penjing.toml", "next": ""}


def test_advice_is_told_and_is_no_failure(shell: Shell) -> None:
    done = shell("doctor")
    assert "\n! calibration: " in done.out
    assert "\n  processor  " in done.out  # everything that is known of the machine
    assert "penjing probe --calibrate" in done.out
    assert done.status == (1 if "✗" in done.out else 0)


def test_a_machine_that_hides_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penjing.probe.memory.MEMINFO", "/nowhere")
    assert doctor.Here.look() is None
    finding = judged("Memory", doctor.memory)
    assert not finding.ok
    assert "does not tell how much memory" in finding.detail
