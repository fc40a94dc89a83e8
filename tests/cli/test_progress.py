from __future__ import annotations

import re
from pathlib import Path

import pytest

import penjing
from penjing.cli import progress, talk
from penjing.progress import Progress, Steps, Transfer

SILENT = {"resting", "ready", "stopped"}  # nobody waits in these


def test_every_stage_of_any_work_has_a_name() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in Path(penjing.__path__[0]).rglob("*.py"))
    stages = set(re.findall(r"Progress\([^()]*?\"(\w+)\"\)", code)) | set(re.findall(r"\bstage=\"(\w+)\"", code))
    assert {"loading", "converting"} <= stages
    assert stages <= set(progress.STAGES) | SILENT


def test_without_a_terminal_each_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown() as report:
        for fraction in (0.0, 0.5, 1.0):
            report(Progress(fraction, "converting"))
        report(Progress(0.0, "writing"))
    assert capsys.readouterr().err == "Converting ...\nWriting ...\n"


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "_quiet", True)
    with progress.shown() as report:
        report(Progress(0.0, "converting"))
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal_is_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    bar = progress.Drawn()
    bar.close()  # nothing was reported: nothing to take away
    bar(Progress(0.25, "converting"))
    assert bar.bar is not None
    assert bar.bar.tasks[0].percentage == 25
    bar.close()
    assert not bar.bar.live.is_started


def test_each_tenth_of_a_transfer_is_a_line_with_speed_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    lines = progress.Lines()
    for done in (100, 150, 310, 380):
        lines(Transfer(done / 1000, "downloading", done, 1000, before=100))
    assert capsys.readouterr().err.splitlines() == [
        "Downloading ...",
        "Downloading: 31 % of 1.0 KB, 21 B/s, 0:00:33 left",
    ]


def test_the_bar_of_a_transfer_counts_bytes_and_gives_way_to_the_next_stage() -> None:
    bar = progress.Drawn()
    bar(Transfer(0.5, "downloading", 500, 1000, before=400))
    assert bar.bar is not None
    assert (bar.bar.tasks[0].completed, bar.bar.tasks[0].total) == (500, 1000)
    first = bar.bar
    bar(Progress(0.25, "hashing"))
    assert not first.live.is_started
    assert bar.bar.tasks[0].percentage == 25
    bar.close()


def test_each_tenth_of_a_training_is_a_line_with_its_losses_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr("penjing.cli.progress.time.monotonic", lambda: next(now))
    with progress.shown() as report:
        report(Steps(0.5, "training", 100, 200, 100))  # it goes on from half
        report(Steps(0.52, "training", 104, 200, 100, 2.5))
        report(Steps(0.75, "training", 150, 200, 100, 1.25, 1.5))
    first, second = capsys.readouterr().err.splitlines()
    assert first == "Training ..."
    assert second == "Training, step 150/200, loss 1.250, held out 1.500, 0:00:10 left"
