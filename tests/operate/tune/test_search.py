"""The search, with figures that are told instead of measured."""

from pathlib import Path

import pytest

from penjing.engines.llamacpp import EngineOptions
from penjing.operate.tune.search import Search
from penjing.operate.tune.trial import Round, Tried
from penjing.operate.tune.ways import Way
from penjing.probe.facts import Model
from penjing.probe.machine import Machine

USUAL = Way("llamacpp", "llama.cpp", "prebuilt")
PENJING = Way("llamacpp", "penjing", "native-1")
OPENVINO = Way("openvino")
MODEL = Model(Path("x.gguf"), "gguf", "llama", context=4096, key_length=64, value_length=64)
MACHINE = Machine("Linux", "a processor", frozenset(), 4, 8, 4, 1 << 34, 1 << 34)
SPEEDS = {"llama.cpp": (100.0, 10.0, 20.0), "penjing": (150.0, 14.0, 40.0), None: (400.0, 8.0, 15.0)}


class Told:
    """As `Trials`: who computes decides, four threads are best, and q8_0 is a little quicker."""

    def __init__(self, wrong: str = "", broken: str = "") -> None:
        self.wrong, self.broken = wrong, broken
        self.rounds: list[Way] = []

    async def round(self, tried: Tried) -> None:
        way = tried.way
        self.rounds.append(way)
        if way.engine == self.broken:
            tried.error = "it does not start"
            return
        tried.same = 0.5 if way.kv_type == self.wrong else 1.0
        slower = 1.0 if way.threads in (None, 4) else 0.5
        quicker = 1.2 if way.kv_type else 1.0
        tried.rounds.append(Round(*(each * slower * quicker for each in SPEEDS[way.scheduler])))


def search(told: Told, seconds: float = 100.0, options: EngineOptions | None = None) -> Search:
    return Search(
        MODEL, MACHINE, options or EngineOptions(), told, lambda progress: None, lambda one: None, seconds=seconds
    )


async def test_each_workload_has_its_own_best() -> None:
    found = search(Told())
    await found.run((USUAL, PENJING, OPENVINO))
    best = {name: one.way for name in ("chat", "prefill", "many") if (one := found.best(name))}
    assert (best["chat"].scheduler, best["prefill"].engine, best["many"].scheduler) == (
        "penjing",
        "openvino",
        "penjing",
    )
    assert {way.kv_type for way in best.values()} == {"q8_0"}
    assert {way.threads for way in best.values()} == {None}
    assert len(found.tried[0].rounds) == 3


async def test_what_goes_on_otherwise_is_left_out() -> None:
    found = search(Told(wrong="q8_0"))
    await found.run((USUAL, PENJING))
    best = found.best("chat")
    assert best is not None
    assert best.way == PENJING


async def test_what_does_not_start_is_told_and_left_out() -> None:
    told = Told(broken="openvino")
    found = search(told)
    await found.run((USUAL, OPENVINO))
    best = found.best("prefill")
    assert best is not None
    assert best.way.engine == "llamacpp"
    assert told.rounds.count(OPENVINO) == 1
    assert found.tried[1].error


async def test_nothing_works() -> None:
    found = search(Told(broken="llamacpp"))
    await found.run((USUAL,))
    assert found.best("chat") is None


async def test_without_time_only_the_usual_way_is_tried() -> None:
    told = Told()
    found = search(told, seconds=0.0)
    await found.run((USUAL, PENJING, OPENVINO))
    assert told.rounds == [USUAL]
    assert found.best("many") is found.tried[0]


async def test_what_a_person_said_is_not_turned() -> None:
    told = Told()
    found = search(told, options=EngineOptions(threads=2, kv_type="f16", ubatch=512))
    await found.run((USUAL,))
    assert set(told.rounds) == {USUAL}


async def test_a_little_quicker_is_not_worth_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPEEDS, "penjing", (101.0, 10.1, 20.2))
    found = search(Told(wrong="q8_0"))
    await found.run((USUAL, PENJING))
    assert found.best("chat") is found.tried[0]


async def test_whoever_stops_it_is_heard() -> None:
    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    found = Search(MODEL, MACHINE, EngineOptions(), Told(), stop, lambda one: None)
    with pytest.raises(KeyboardInterrupt):
        await found.run((USUAL,))


async def test_a_way_with_more_rounds_is_no_better_for_that() -> None:
    found = search(Told())
    found.tried = [
        Tried(USUAL, [Round(100.0, 10.0, 20.0)]),
        Tried(PENJING, [Round(50.0, 5.0, 10.0), Round(60.0, 6.0, 12.0)]),
    ]
    assert found.best("chat") is found.tried[0]


async def test_one_lucky_round_does_not_win_over_several() -> None:
    found = search(Told())
    usual = [Round(100.0, 10.0, 20.0)] * 3
    found.tried = [Tried(USUAL, usual), Tried(PENJING, [Round(900.0, 90.0, 90.0)])]
    assert found.best("chat") is found.tried[0]
