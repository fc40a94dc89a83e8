from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from penjing.language import catalogue
from penjing.operate.measure import report
from penjing.operate.measure.figures import figures
from penjing.operate.measure.load import Load
from penjing.operate.measure.outcome import Host, Line, Outcome, Result, compare
from penjing.operate.measure.planned import Planned
from penjing.operate.measure.report import page
from penjing.operate.measure.sample import Sample
from penjing.operate.measure.subject import Start
from penjing.plan.report.frame import About

ABOUT = About("a <b>", "a", "penjing bench", "2026-01-01", "1")


def line(load: Load, first: float) -> Line:
    moments = tuple(first + 0.01 * place for place in range(10))
    samples = [Sample(0.0, moments[-1], moments, 100, 10), Sample(0.0, 1.0, error="busy")]
    rounds = [figures(samples, seconds) for seconds in (1.0, 1.25)]
    return Line(load, rounds[0], rounds, None, Planned())


def outcome(count: int) -> Outcome:
    loads = [Load(128, 64, 1), Load(512, 64, 8), Load(512, 64, 1, rate=2.5)]
    results = [
        Result(
            name, name, 0, 1, (Start(0.5, 0.1, True),), None, None, 0, "", True, [], [line(each, at) for each in loads]
        )
        for name, at in [("one", 0.1), ("two & <three>", 0.2)][:count]
    ]
    host = Host("Linux", "cpu", 2, 8 << 30, "1")
    return Outcome("2026-01-01", host, results, compare(*results) if count == 2 else [], stopped=True)


@pytest.mark.parametrize("count", [1, 2])
def test_it_is_one_file_with_every_figure(count: int) -> None:
    made = page(ABOUT, outcome(count), "zh")
    assert not re.findall(r'(?:src|href)="', made)
    assert made.count("<svg") >= 4
    for drawn in re.findall(r"<svg.*?</svg>", made, re.DOTALL):
        ElementTree.fromstring(drawn)
    assert made.count('class="own"') >= 4 * 3
    assert ('class="cloud"' in made) == (count == 2)
    assert "a &lt;b&gt;" in made
    assert "two & <three>" not in made
    assert "× 0.50" in made or count == 1  # twice as long until the first token


def test_every_text_is_in_both_languages() -> None:
    texts = {*report.TITLES.values(), *report.LEGENDS.values(), *report.HEADS, report.STARTED}
    assert texts <= catalogue("zh").keys()
