from __future__ import annotations

import asyncio

from penjing.engines.fake import Fake, Script
from penjing.operate.measure.load import Load
from penjing.operate.measure.outcome import compare, result
from penjing.operate.measure.rounds import Rounds
from penjing.operate.measure.subject import Subject, opened
from penjing.progress import Progress


async def two(slower: float = 0.0) -> list[Subject]:
    engines = [
        Fake(Script(tokens=("a",) * 20, delay=0.001), "one"),
        Fake(Script(tokens=("a",) * 20, delay=slower), "two"),
    ]
    return [await opened(engine, engine.name) for engine in engines]


async def test_subjects_take_turns_and_rounds_are_pairs() -> None:
    subjects = await two(slower=0.01)
    told: list[Progress] = []
    try:
        rounds = Rounds(subjects, [Load(8, 5, 1, 2), Load(8, 5, 2, 4)], 3, told.append)
        await rounds.run(asyncio.Event())
        found = [await result(*pair, None) for pair in zip(subjects, rounds.rows, strict=True)]
    finally:
        for subject in subjects:
            await subject.close()
    assert [[len(line.rounds) for line in each.lines] for each in found] == [[3, 3], [3, 3]]
    assert found[0].lines[0].figures.whole.count == 6
    compared = compare(*found)
    assert compared[0].tokens is not None
    assert compared[0].tokens.median > 1  # a wait of 10 ms a token against one of 1 ms
    fractions = [each.fraction for each in told]
    assert fractions == sorted(fractions)
    assert told[-1] == Progress(1.0, "measuring")
    asked = sum(one.path.endswith("completions") for one in subjects[0].engine.requests)  # type: ignore[attr-defined] # Fake
    assert asked == 1 + (1 + 2) + 3 * (2 + 4)  # met, warmed, measured


async def test_the_number_of_questions_follows_from_the_slowest() -> None:
    subjects = await two()
    try:
        rounds = Rounds(subjects, [Load(8, 5, 3)], 1, lambda progress: None)
        await rounds.run(asyncio.Event())
    finally:
        for subject in subjects:
            await subject.close()
    assert {rows[0].load.requests for rows in rounds.rows} == {12}


async def test_stopped_in_the_middle_keeps_what_there_is() -> None:
    subjects = await two()
    stop = asyncio.Event()

    def report(progress: Progress) -> None:
        if progress.stage == "measuring":
            stop.set()

    try:
        rounds = Rounds(subjects, [Load(8, 5, 1, 2)], 50, report)
        await rounds.run(stop)
        found = await result(subjects[0], rounds.rows[0], None)
    finally:
        for subject in subjects:
            await subject.close()
    assert rounds.stopped
    assert found.lines[0].figures.whole.count == 1
