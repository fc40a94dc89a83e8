"""Runs: what is done stays done, whatever stops a run; two never work on one output; the result is whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fleet.adversity import small_disk
from penjing import manifest
from penjing.errors import DiskFull, PenjingError
from penjing.files import require_room
from penjing.lock import held
from penjing.probe import model as probe
from penjing.progress import Journey, Progress, Report
from penjing.shrink.output import OutputTaken
from penjing.shrink.planning import Plan, foresee, standing
from penjing.shrink.recipe import parse
from penjing.shrink.run import Order, Result, done_before, run
from penjing.shrink.steps.kind import Made, Pace, Work
from penjing.shrink.work import AlreadyRunning, NoSuchFile
from shrink import small_steps
from shrink.small_steps import KINDS, WEIGHTS, tiny

RECIPE = """
[[step]]
kind = "cut"
ratio = 0.5
seed = 7
[[step]]
kind = "sharpen"
steps = 8
rest = {rest}
[[step]]
kind = "look"
"""
PACE = Pace({"copy": 100.0, "train": 1.0, "read": 1.0, "encode": 1.0})
SLOW = """
import sys
from pathlib import Path
from shrink.test_run import order, same
from shrink.small_steps import KINDS
from penjing.shrink.run import run
run(order(Path(sys.argv[1]), rest=0.03), KINDS, same, lambda progress: None)
"""


def order(folder: Path, rest: float = 0.0, text: str = RECIPE) -> Order:
    recipe = parse(text.replace("{rest}", str(rest)), KINDS, folder / "recipe.toml")
    plan = foresee(recipe, standing(probe.read(folder / "model"), "checkpoint"), KINDS, PACE)
    return Order(folder / "model", recipe, plan, "small", folder / "output", folder / ".work")


def same(source: Path, target: Path, report: Report) -> Path:
    return source


def quiet(progress: Progress) -> None:
    pass


def done(folder: Path) -> Result:
    return run(order(folder), KINDS, same, quiet)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny(tmp_path / "model")
    return tmp_path


def test_a_run(folder: Path) -> None:
    heard: list[Journey] = []

    def hear(progress: Progress) -> None:
        assert isinstance(progress, Journey)
        heard.append(progress)

    result = run(order(folder), KINDS, same, hear)
    assert result.model == folder / "output"
    assert (result.model / WEIGHTS).read_bytes() == bytes(each + 8 for each in range(100))
    assert not (folder / ".work").exists()
    said = manifest.load(result.model)
    assert manifest.changed(said, result.model) == []
    assert msgspec.json.encode(said) == msgspec.json.encode(result.manifest)
    assert said.quality == {"size_bytes": 100}
    assert said.parent
    cut, sharpen, look = said.recipe["steps"]  # type: ignore[misc, str-unpack]  # a list of entries
    assert cut["options"] == {"ratio": 0.5, "more": []}
    assert cut["seed"] == 7
    assert cut["found"] == {"removed": 0.5}
    assert sharpen["found"]["log"] == [str(step) for step in range(8)]
    assert look["seconds"] >= 0
    assert parse(str(said.recipe["text"]), KINDS).steps == order(folder).recipe.steps
    assert [each.fraction for each in heard] == sorted(each.fraction for each in heard)
    assert {(each.step, each.steps, each.about) for each in heard} == {
        (1, 3, "Cutting"),
        (2, 3, "Sharpening"),
        (3, 3, "Looking"),
    }
    assert all(each.left is not None and each.left >= 0 for each in heard)


def test_what_was_there_stays(folder: Path) -> None:
    done(folder)
    with pytest.raises(OutputTaken):
        done(folder)


def test_a_stopped_run_goes_on(folder: Path) -> None:
    def stop(progress: Progress) -> None:
        if isinstance(progress, Journey) and progress.step == 2 and progress.stage == "sharpening":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(order(folder), KINDS, same, stop)
    assert not (folder / "output").exists()
    assert done_before(order(folder)) == {0}
    again = done(folder)
    assert [each.kept for each in again.taken] == [True, False, False]


@pytest.mark.parametrize("moment", ["*/output/weights.bin", "*/scratch/log", "*/done.json"])
def test_a_killed_run_goes_on(folder: Path, moment: str) -> None:
    command = [sys.executable, "-c", SLOW, str(folder)]
    tests = str(Path(small_steps.__file__).parents[1])
    paths = os.pathsep.join((tests, str(Path(tests) / "export" / "gguf")))
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}) as process:
        until(lambda: bool(list((folder / ".work").glob(moment))) or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    (folder / ".output.0123abcd.part").mkdir()  # as one that was killed when it wrote its report leaves it
    result = run(order(folder, rest=0.03), KINDS, same, quiet)
    assert (result.model / WEIGHTS).read_bytes() == bytes(each + 8 for each in range(100))
    log = result.taken[1].found["log"]
    assert sorted(set(log), key=int) == [str(step) for step in range(8)]
    assert len(log) <= 9  # the one that was killed before its checkpoint was kept is done again
    assert [path.name for path in folder.iterdir() if path.name != "model"] == ["output"]


def until(seen: Callable[[], bool]) -> None:
    for _ in range(3000):
        if seen():
            return
        time.sleep(0.01)
    raise TimeoutError


def test_two_runs_on_one_output(folder: Path) -> None:
    (folder / ".work").mkdir()
    with held(folder / ".work" / "lock"), pytest.raises(AlreadyRunning):
        done(folder)
    done(folder)


def test_other_options_other_files_another_model_begin_anew(folder: Path) -> None:
    (folder / "mine.txt").write_text("one")
    first = RECIPE.replace("ratio = 0.5", 'ratio = 0.5\ntexts = "mine.txt"')

    def kept(text: str) -> list[bool]:
        shutil.rmtree(folder / "output", ignore_errors=True)
        ordered = replace(order(folder, text=text), keep=True)
        return [each.kept for each in run(ordered, KINDS, same, quiet).taken]

    assert kept(first) == [False, False, False]
    assert kept(first) == [True, True, True]
    assert kept(first.replace("steps = 8", "steps = 5")) == [True, False, False]
    (folder / "mine.txt").write_text("two")
    assert kept(first) == [False, False, False]
    (folder / "model" / WEIGHTS).write_bytes(b"others")
    assert kept(first) == [False, False, False]
    (folder / "mine.txt").unlink()
    with pytest.raises(NoSuchFile, match=r"mine\.txt \(cut\.texts\)"):
        kept(first)


def test_a_step_that_fails_leaves_the_others(folder: Path) -> None:
    def fail(work: Work, options: object) -> Made:
        (work.scratch / "half").write_bytes(b"")
        raise PenjingError(detail="no")

    broken = {**KINDS, "sharpen": replace(KINDS["sharpen"], run=fail)}
    with pytest.raises(PenjingError):
        run(order(folder), broken, same, quiet)
    assert not (folder / "output").exists()
    assert [each.kept for each in done(folder).taken] == [True, False, False]


def test_a_step_that_fills_the_disk_tells_what_it_needed(tmp_path: Path) -> None:
    def fill(work: Work, options: object) -> Made:
        with (work.scratch / "large").open("wb", buffering=0) as stream:
            with suppress(OSError):
                while True:
                    stream.write(bytes(4096))
            require_room(work.scratch, 1_000_000)
        raise AssertionError("there was room")

    broken = {**KINDS, "sharpen": replace(KINDS["sharpen"], run=fill)}
    with small_disk(tmp_path / "disk", 1 << 22):
        folder = tmp_path / "disk"
        tiny(folder / "model")
        with pytest.raises(DiskFull, match=r"1\.0 MB needed"):
            run(order(folder), broken, same, quiet)
        next((folder / ".work").glob("*/scratch/large")).unlink()
        assert [each.kept for each in done(folder).taken] == [True, False, False]


def test_what_a_stopped_run_holds_is_not_asked_for_again(tmp_path: Path) -> None:
    def stop(work: Work, options: object) -> Made:
        (work.scratch / "state").write_bytes(bytes([0]) + bytes(range(100)) + bytes(2_500_000))
        raise KeyboardInterrupt

    broken = {**KINDS, "sharpen": replace(KINDS["sharpen"], run=stop)}
    with small_disk(tmp_path / "disk", 1 << 22):
        folder = tmp_path / "disk"
        tiny(folder / "model")
        ordered = order(folder)
        steps = list(ordered.plan.steps)
        steps[1] = replace(steps[1], after=replace(steps[1].after, room=3_000_000))
        ordered = replace(ordered, plan=Plan(ordered.plan.before, tuple(steps)))
        with pytest.raises(KeyboardInterrupt):
            run(ordered, broken, same, quiet)
        with pytest.raises(KeyboardInterrupt):  # not DiskFull: 1.7 MB are free, 2.5 MB are its own
            run(ordered, broken, same, quiet)


def test_no_room_is_told_before_anything_begins(folder: Path) -> None:
    ordered = order(folder)
    after = ordered.plan.steps[0]
    huge = replace(after, after=replace(after.after, room=1 << 60))
    with pytest.raises(DiskFull):
        run(replace(ordered, plan=Plan(ordered.plan.before, (huge, *ordered.plan.steps[1:]))), KINDS, same, quiet)
    assert not (folder / "output").exists()


def test_a_licence_that_forbids_is_recorded(folder: Path) -> None:
    result = run(replace(order(folder), licence="cc-by-nc-nd-4.0"), KINDS, same, quiet)
    assert result.manifest.licence == "cc-by-nc-nd-4.0"
    assert result.manifest.recipe["licence_forbids_derivatives"] is True
