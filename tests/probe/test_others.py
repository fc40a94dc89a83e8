import subprocess
import sys
import time

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
