"""The thread that steps, with the slow model."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from engines.llamacpp.scheduler.slow import Slow, answer
from penjing.engines.llamacpp.scheduler import service, stepping
from penjing.engines.llamacpp.scheduler.asked import Ask, Said
from penjing.engines.llamacpp.scheduler.restraint import Restraint
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.engines.llamacpp.scheduler.service import Service
from penjing.errors import ContextOverflow
from penjing.native.sampler import Sampling

GREEDY = Sampling(temperature=0)


def serving(shelf: Any = None, restraint: Restraint | None = None) -> Service:
    context: Any = Slow(400, 8)
    context.stop = lambda: None
    found = Service(Scheduler(context, 2, each=100, shelf=shelf, threads=2), restraint)
    found.start()
    return found


def asked(serving: Service, prompt: list[int], limit: int) -> queue.Queue[Said]:
    heard: queue.Queue[Said] = queue.Queue()
    serving.submit(Ask(prompt, limit, lambda said: heard.put(said) is None, GREEDY))
    return heard


def test_asked_from_many_threads() -> None:
    one, found = serving(), dict[int, list[int]]()

    def ask(number: int) -> None:
        heard = asked(one, [number, 3], 10)
        found[number] = [heard.get(timeout=60).token for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.stop()
    assert found == {number: answer([number, 3], 10, frozenset()) for number in range(10)}
    assert one.busy == one.waiting == 0


def test_what_is_wrong_with_a_question_is_heard() -> None:
    one = serving()
    said = asked(one, [1] * 100, 5).get(timeout=60)
    assert isinstance(said.error, ContextOverflow)
    one.stop()


def test_a_quiet_time_is_used_for_the_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "QUIET", 0.01)
    kept: queue.Queue[list[int]] = queue.Queue()
    seen: list[list[int]] = []

    def save(tokens: list[int], state: object, voice: str, wait: float) -> bool:
        seen.append(tokens)
        kept.put(tokens)
        return True

    shelf = SimpleNamespace(
        find=lambda tokens, least, voice: None,
        has=lambda tokens, voice: tokens in seen,
        save=save,
        close=lambda: None,
    )
    one = serving(shelf)
    context: Any = one.scheduler.context
    context.save = lambda sequence: b""
    asked(one, [5] * 80, 1)
    assert kept.get(timeout=60) == [5] * 80
    one.stop()


def test_other_work_is_done_between_two_steps() -> None:
    one = serving()
    heard = asked(one, [1, 2], 30)
    assert one.run(lambda: 5).result(60) == 5

    def failing() -> None:
        raise ContextOverflow(tokens=1, context=1)

    with pytest.raises(ContextOverflow):
        one.run(failing).result(60)
    assert len([heard.get(timeout=60) for _ in range(30)]) == 30
    one.stop()


def test_less_is_taken_of_the_processor() -> None:
    one = serving(restraint=Restraint(2, 0.25, "max"))
    begun = time.perf_counter()
    heard = asked(one, [1, 2], 30)
    assert len([heard.get(timeout=60) for _ in range(30)]) == 30
    assert time.perf_counter() > begun
    assert one.scheduler.pace.used == 1
    one.stop()


def test_a_fault_ends_the_process() -> None:
    program = """
from types import SimpleNamespace
from penjing.engines.llamacpp.scheduler.service import Service
def step():
    raise KeyError("fault")
one = Service(SimpleNamespace(step=step))
one.start()
one._thread.join(60)
"""
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert child.returncode == stepping.FAULT
    assert "the scheduler ended" in child.stderr
    assert "KeyError" in child.stderr
