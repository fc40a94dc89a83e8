"""What other verbs make of what was tuned, and the verb where nothing is tried."""

import json
from importlib import resources
from pathlib import Path

import pytest

from penjing.cli.tune import using
from penjing.engines.llamacpp import EngineOptions
from penjing.operate.tune import kept
from penjing.operate.tune.kept import Figures, Tuned
from penjing.operate.tune.ways import Way
from penjing.probe import machine
from penjing.store.resolve import find
from shells import Shell

GUIDE = Path(str(resources.files("penjing") / "data" / "guide" / "guide.gguf"))
USUAL = Way("llamacpp", "llama.cpp", "prebuilt")
BETTER = Way("llamacpp", "penjing", "prebuilt", threads=1, kv_type="q8_0")


def tune(chosen: Way, wanted: str = "") -> None:
    tried = (Figures(USUAL, 1.0, 1.0, 1.0, ((1.0, 1.0, 1.0),)), Figures(chosen, 2.0, 2.0, 2.0, ((2.0, 2.0, 2.0),)))
    known = Tuned("guide", "2026-01-01T00:00:00+00:00", 1.0, {"chat": chosen}, tried, wanted)
    kept.keep(known, machine.read(), (GUIDE,))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    monkeypatch.setattr(using, "TOLD", set())


def tuned(options: EngineOptions, workload: str = "chat") -> EngineOptions:
    return using.tuned(find("guide"), options, GUIDE, workload)


def test_it_is_used_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    tune(BETTER)
    found = tuned(EngineOptions())
    assert (found.scheduler, found.library, found.threads, found.kv_type) == ("penjing", "prebuilt", 1, "q8_0")
    tuned(EngineOptions())
    assert capsys.readouterr().err.count("penjing tune") == 1


def test_what_a_person_says_counts_more() -> None:
    tune(BETTER)
    assert tuned(EngineOptions(threads=2)).threads == 2
    assert tuned(EngineOptions(scheduler="llama.cpp")) == EngineOptions(scheduler="llama.cpp")
    assert tuned(EngineOptions(), "many") == EngineOptions()


def test_the_usual_way_says_nothing() -> None:
    tune(USUAL)
    assert tuned(EngineOptions()) == EngineOptions()


def test_a_library_that_is_gone_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    tune(Way("llamacpp", "penjing", "native-gone"))
    assert tuned(EngineOptions()) == EngineOptions()
    assert "native-gone" in capsys.readouterr().err


def test_show_and_forget(shell: Shell) -> None:
    done = shell("tune", "guide", "--show")
    assert done.status == 2
    assert "penjing tune guide" in done.err
    tune(BETTER, "chat")
    done = shell("tune", "guide", "--show")
    assert done.status == 0
    assert "penjing prebuilt, 1 threads, kv q8_0" in done.out
    assert shell("tune", "guide", "--forget").status == 0
    assert shell("tune", "guide", "--show").status == 2


def test_workloads_that_there_are_not(shell: Shell) -> None:
    done = shell("tune", "guide", "--for", "poems")
    assert done.status == 2
    assert "chat, prefill, many" in done.err


def test_explain_says_whose_choice_it_is(shell: Shell) -> None:
    tune(BETTER)
    told = json.loads(shell("explain", "guide", "--json", "--parallel", "1").out)
    choices = {each["name"]: each for each in told["choices"]}
    assert choices["tune"]["value"] == "penjing prebuilt, 1 threads, kv q8_0"
    assert "of 2 ways for chat on 2026-01-01" in choices["tune"]["why"]
    for name, value in (("scheduler", "penjing"), ("threads", 1), ("kv_type", "q8_0")):
        assert choices[name] == {"name": name, "value": value, "why": "penjing tune chose it", "overridden": False}
    assert choices["parallel"]["overridden"]
    assert "penjing tune 选择" in shell("explain", "guide", PENJING_LANGUAGE="zh").out
    told = json.loads(shell("explain", "guide", "--json", "--scheduler", "llama.cpp").out)
    assert "leaves no choice" in told["choices"][0]["why"]
    assert "tune" not in shell("serve", "--explain").out  # nothing was chosen for several at once
    tune(USUAL)
    assert "the usual way" in json.loads(shell("explain", "guide", "--json").out)["choices"][0]["why"]
