import subprocess
import sys
import time

import psutil
import pytest

from penjing.probe.others import Others

BUSY = "import time\nwhile time.process_time() < 0.5: pass"


def test_another_program_is_counted_and_ours_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        began = time.perf_counter()
        everybody, but_the_child = Others(), Others(child.pid)
        while child.poll() is None:
            told, without = everybody.cores(), but_the_child.cores()
            seconds = time.perf_counter() - began
            time.sleep(0.05)
    assert (told - without) * seconds > 0.2  # of the half second of a core that it took
    assert told >= without >= 0


@pytest.mark.parametrize("mine", [0, 5])
def test_who_gives_way_is_passed_over_by_who_does_not(monkeypatch: pytest.MonkeyPatch, mine: int) -> None:
    times = psutil.cpu_times()
    now = [times, times._replace(nice=times.nice + 1000)]
    monkeypatch.setattr(psutil, "cpu_times", lambda: now[0])
    monkeypatch.setattr(psutil.Process, "nice", lambda self: mine)
    everybody, others = Others(), Others(polite=False)
    now.pop(0)
    assert everybody.cores() > 1
    assert (others.cores() > 1) == (mine > 0)
