"""The verb `plan`, as its own process, against a hub on this machine that speaks the real protocol."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_hub import Hub, Repository, serving
from penjing.cli.main import run
from penjing.cli.plan import verb
from penjing.cli.plan.subject import find, smaller
from penjing.errors import ModelNotFound
from shells import Shell
from tiny_checkpoint import write_checkpoint
from tiny_model import Shape, write_tiny_gguf

UNITS = re.compile(
    r"bytes|tokens|seconds|nats|months|_per_|share|kwh|watts|bits|count|parameters|slots|turns|rise|prefill|decode|"
    r"low|likely|high|weights|kv|compute|runtime|reclaimable|total"
)
MONEY = re.compile(r"hours|hourly_rate|hardware|total_once|saved|input|output|value|tariff")


@pytest.fixture
def hub(tmp_path: Path, clean: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """It has a model in three quantizations under a short name's address, and a checkpoint."""
    small = write_tiny_gguf(tmp_path / "small.gguf", Shape(context=8192)).read_bytes()
    large = write_tiny_gguf(tmp_path / "large.gguf", Shape(layers=4, context=8192)).read_bytes()
    folder = write_checkpoint(tmp_path / "there")
    pages = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    repositories = {
        "Qwen/Qwen3-4B-GGUF": Repository(
            {"m-Q4_K_M.gguf": small, "m-Q8_0.gguf": large, "m-Q6_K.gguf": small + bytes(999)}
        ),
        "o/checkpoint": Repository(pages, licence="mit"),
        "o/secret": Repository({"m-Q4_K_M.gguf": small}, gated=True, token="t"),
        "o/lies": Repository({"m-Q4_K_M.gguf": small[:-4096]}),
        "o/pictures": Repository({"picture.png": b"png"}),
    }
    with serving(repositories) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def planned(shell: Shell, *arguments: str) -> Any:
    done = shell("plan", *arguments, "--no-measure", "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_the_built_in_model(shell: Shell) -> None:
    done = shell("plan", "--no-measure")
    assert done.status == 0
    for words in ("✓ Fits: Q8_0", "tokens/s", "KL 0.0014", "gpt-5-mini (price of 2026-03-21)", "pays off", "assumed"):
        assert words in done.out


def test_in_chinese(shell: Shell) -> None:
    done = shell("plan", "guide", "--no-measure", "--lang", "zh")
    assert "放得下" in done.out
    assert "假定" in done.out
    assert not re.search(r"assumed|recommended|weights|Fits", done.out)


def test_a_short_name_from_a_hub(shell: Shell, hub: Hub) -> None:
    found = planned(shell, "qwen3:4b")
    assert [each["quantization"] for each in found["quantizations"]] == ["Q4_K_M", "Q6_K", "Q8_0"]
    assert {each["origin"] for each in found["quantizations"]} == {"published"}
    assert found["verdict"] == "fits"
    assert found["model"]["licence"] == "apache-2.0"
    whole = sum(map(len, hub.repositories["Qwen/Qwen3-4B-GGUF"].files.values()))
    assert 0 < hub.moved < whole


def test_one_quantization_of_it(shell: Shell, hub: Hub) -> None:
    assert planned(shell, "hf:Qwen/Qwen3-4B-GGUF:Q6_K")["recommended"] == "Q6_K"
    assert planned(shell, "qwen3:4b", "--quantization", "q4_k_m")["recommended"] == "Q4_K_M"
    asked = planned(shell, "qwen3:4b", "--quantization", "Q2_K")
    assert asked["recommended"] == "Q2_K"
    assert {each["quantization"]: each["origin"] for each in asked["quantizations"]}["Q2_K"] == "computed"


def test_a_checkpoint_from_a_hub(shell: Shell, hub: Hub) -> None:
    found = planned(shell, "hf:o/checkpoint")
    origins = {each["quantization"]: each["origin"] for each in found["quantizations"]}
    assert {origins[label] for label in ("Q4_K_M", "Q5_K_M", "Q8_0", "F16")} == {"convert"}
    assert origins[found["recommended"]] == "convert"


def test_a_folder_and_a_file_here(shell: Shell, checkpoint: Path, tiny: Path) -> None:
    assert planned(shell, str(checkpoint), "--bits", "4")["recommended"] == "Q4_K_M"
    found = planned(shell, f"./{os.path.relpath(tiny)}")
    assert {each["origin"] for each in found["quantizations"]} == {"here", "convert", "computed"}


def test_for_another_device(shell: Shell, hub: Hub) -> None:
    found = planned(shell, "qwen3:4b", "--for", "Snapdragon 888", "--context", "2048", "--parallel", "2")
    assert found["place"]["name"] == "Snapdragon 888"
    assert not found["place"]["measured"]
    assert found["wish"]["slots"] == 2
    said = " ".join(found["remarks"])
    for words in ("12.3 tokens/s", "15.7 tokens/s", "11.8 tokens/s", "disagree", "assumed"):
        assert words in said


def test_every_number_has_its_unit_in_its_name(shell: Shell) -> None:
    assert not list(without_unit(planned(shell, "guide"), ()))


def without_unit(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from without_unit(each, (*path, name))
    elif isinstance(value, list):
        for each in value:
            yield from without_unit(each, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        known = UNITS.search(path[-1]) or (path[0] == "cost" and MONEY.search(path[-1]))
        yield from () if known else (".".join(path),)


def test_costs_of_ones_own(shell: Shell) -> None:
    figures = (
        "--input-price",
        "20",
        "--output-price",
        "60",
        "--currency",
        "CNY",
        "--hourly-rate",
        "300",
        "--tariff",
        "0.6",
    )
    cost = planned(shell, "guide", *figures, "--hours", "2", "--hardware", "1000", "--watts", "40")["cost"]
    assert cost["currency"] == "CNY"
    assert cost["total_once"] == 1600
    assert cost["assumed"] == []
    assert cost["cloud_per_conversation"] == pytest.approx((3000 * 20 + 1000 * 60) / 1e6)
    assert cost["break_even_months"] == pytest.approx(1600 / (cost["cloud_per_month"] - cost["local_per_month"]))


def test_dollars_are_exchanged(shell: Shell) -> None:
    dollars, yuan = (planned(shell, "guide", *more)["cost"] for more in ((), ("--currency", "CNY", "--exchange", "7")))
    assert yuan["cloud_per_month"] == pytest.approx(7 * dollars["cloud_per_month"])
    assert yuan["break_even_months"] == pytest.approx(dollars["break_even_months"])


def test_figures_from_the_settings(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "penjing.toml").write_text('[plan]\ncloud = "gpt-4o"\nhours = 1\n')
    cost = planned(shell, "guide")["cost"]
    assert (cost["cloud"], cost["hours"]) == ("gpt-4o", 1)
    assert "hours" not in cost["assumed"]


def test_never_where_there_is_no_break_even(shell: Shell) -> None:
    cost = planned(shell, "guide", "--watts", "100", "--idle-watts", "100", "--tariff", "2")["cost"]
    assert cost["break_even_months"] is None
    assert cost["pays_off"].startswith("never")


def test_a_report(shell: Shell, hub: Hub, tmp_path: Path) -> None:
    done = shell("plan", "qwen3:4b", "--no-measure", "--report", "deep/plan.html", "--for", "Raspberry Pi 5")
    assert done.status == 0
    page = (tmp_path / "deep" / "plan.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "Raspberry Pi 5" in page
    assert "penjing plan qwen3:4b" in page


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("guide", "--for", "Snapdragon 889"), 2, "Snapdragon 888"),
        (("guide", "--for", "Snapdragon 8"), 2, "may be several"),
        (("guide", "--cloud", "gpt-9"), 2, "gpt-5"),
        (("guide", "--input-price", "0", "--output-price", "1"), 2, "a number above 0"),
        (("guide", "--input-price", "-1", "--output-price", "1"), 2, "a number above 0"),
        (("guide", "--input-price", "1"), 2, "--output-price"),
        (("guide", "--tariff", "-0.1"), 2, "at least 0"),
        (("guide", "--hours", "nan"), 2, "at least 0"),
        (("guide", "--conversations", "0"), 2, "above 0"),
        (("guide", "--currency", "CNY"), 2, "--exchange"),
        (("guide", "--currency", "yuan"), 2, "three letters"),
        (("guide", "--quantization", "Q9_Z"), 2, "Q4_K_M"),
        (("guide", "--bits", "7"), 2, "2, 3, 4, 5, 6, 8, 16 or 32"),
        (("guide", "--kv-type", "q3"), 2, "q8_0"),
        (("guide", "--context", "0"), 2, "at least 1"),
        (("guide", "--parallel", "two"), 2, "at least 1"),
        (("guide", "--lang", "fr"), 2, "en or zh"),
        (("guide", "--report", "plan.pdf"), 2, ".html"),
        (("no-such-model",), 3, "no model"),
        (("qwen3:999b",), 3, "no model"),
        (("hf:o/secret",), 2, "gated"),
        (("hf:o/pictures",), 3, "o/pictures"),
        (("hf:o/nothing",), 2, "o/nothing"),
        (("hf:o/lies",), 3, "cut short"),
    ],
)
def test_what_cannot_be_planned(
    hub: Hub, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, said: str
) -> None:
    assert run(("plan", *words, "--no-measure")) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err


def test_no_network(shell: Shell) -> None:
    done = shell("plan", "hf:a/b", "--no-measure", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.status == 6
    assert "127.0.0.1:9" in done.err
    offline = shell("plan", "hf:a/b", "--no-measure", HF_HUB_OFFLINE="1")
    assert offline.status == 6
    assert "HF_HUB_OFFLINE" in offline.err


def test_a_machine_that_hides_its_memory(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    from penjing.probe import machine
    from penjing.probe.memory import MemoryHidden
    from penjing.probe.reading import Recorded

    hidden = Recorded.load(Path(__file__).parents[1] / "probe" / "machines" / "memory-hidden.json")
    real = machine.read
    monkeypatch.setattr(machine, "read", lambda: real(hidden))
    with pytest.raises(MemoryHidden):
        verb.here(measure=False)


def test_measured_once_where_it_never_was_and_nothing_else_runs(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    from penjing.plan import devices
    from penjing.probe import calibrate

    asked = []

    def measured(*given: object) -> object:
        asked.append(given)
        return devices.expected(devices.find("Desktop DDR5"))

    monkeypatch.setattr(calibrate, "calibrate", measured)
    monkeypatch.setattr(verb, "busy", lambda: True)
    assert verb.here(measure=True).assumed
    monkeypatch.setattr(verb, "busy", lambda: False)
    assert verb.here(measure=False).assumed
    assert not asked
    assert not verb.here(measure=True).assumed
    assert len(asked) == 1


def test_smaller_ones_of_the_family() -> None:
    assert smaller("qwen3:8b", 3 << 30)[0] in ("qwen3:1.7b", "qwen3:4b")
    assert smaller("qwen3:8b", 1) == ()
    with pytest.raises(ModelNotFound):
        find("qwen3:999b")
