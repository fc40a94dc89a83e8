"""Ways tried with real engines: the guide, by llama.cpp and by penjing's scheduler."""

from importlib import resources
from pathlib import Path

import pytest

from penjing.engines.engine import Engine
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.operate.tune.trial import Size, Trials, Tried
from penjing.operate.tune.ways import Way, engines
from penjing.probe import model

GUIDE = Path(str(resources.files("penjing") / "data" / "guide" / "guide.gguf"))


def make(way: Way) -> Engine:
    return LlamaCpp(GUIDE, "guide", way.over(EngineOptions(threads=1, max_context=512)))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))


@pytest.mark.extras  # two engines are started
async def test_a_round_has_figures_and_ways_agree() -> None:
    trials = Trials(make, Size(prompt=32, said=16))
    usual, other = (Tried(Way("llamacpp", scheduler, "prebuilt")) for scheduler in ("llama.cpp", "penjing"))
    await trials.round(usual)
    await trials.round(other)
    for one in (usual, other):
        assert one.error == ""
        assert one.good
        assert min(one.middle(name) for name in ("prefill", "decode", "many")) > 0
    assert other.same is not None
    assert len(trials.expected) >= 8


async def test_what_does_not_start_is_an_error_in_words() -> None:
    trials = Trials(make, Size(prompt=8, said=2))
    one = Tried(Way("llamacpp", "penjing", "native-of-nobody"))
    await trials.round(one)
    assert "native-of-nobody" in one.error
    assert not one.good


def test_the_ways_that_there_are() -> None:
    facts = model.read(GUIDE)
    found = engines(facts, EngineOptions(), checkpoint=False)
    assert [way.computes for way in found][:2] == ["llama.cpp prebuilt", "penjing prebuilt"]
    only = engines(facts, EngineOptions(scheduler="penjing"), checkpoint=False)
    assert {way.scheduler for way in only} == {"penjing"}
