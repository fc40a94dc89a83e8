import subprocess
import sys
import time

from penjing.probe.others import Others

BUSY = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass"


def test_another_program_is_counted_and_ours_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        everybody, but_the_child = Others(), Others(child.pid)
        while child.poll() is None:
            told, without = everybody.cores(), but_the_child.cores()
            time.sleep(0.05)
    assert told - without > 0.2
    assert told >= without >= 0
