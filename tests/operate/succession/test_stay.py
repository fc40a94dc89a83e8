"""The process that waits for successors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penjing.operate.succession import stay

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="nobody stays on Windows")
FIRST = """
import os, signal, subprocess, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
child = subprocess.Popen([sys.executable, "-c", {server!r}])
os.execv(sys.executable, [sys.executable, "-S", "-E", {stay!r}, str(child.pid)])
"""
SERVER = """
import signal, sys, time
def heard(number, frame):
    print(signal.Signals(number).name, flush=True)
    sys.exit({status}) if number == signal.SIGTERM else None
for each in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, heard)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
print("ready", flush=True)
while True:
    time.sleep(1)
"""


@pytest.mark.parametrize("status", [0, 3])
def test_signals_are_passed_on_and_it_ends_as_the_server_does(status: int) -> None:
    first = FIRST.format(server=SERVER.format(status=status), stay=stay.__file__)
    with subprocess.Popen([sys.executable, "-c", first], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until_it_stays(process.pid)
        os.kill(process.pid, signal.SIGHUP)
        assert process.stdout.readline() == "SIGHUP\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM\n"
        assert process.wait(60) == status


def until_it_stays(pid: int) -> None:
    """Nobody tells when its handlers stand; where /proc shows which signals are caught, that does."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        time.sleep(1)
        return
    wanted = 1 << (signal.SIGHUP - 1)
    while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) & wanted:
        time.sleep(0.01)


def test_one_that_was_killed_is_told_as_killed() -> None:
    first = FIRST.format(server="import os; os.kill(os.getpid(), 9)", stay=stay.__file__)
    assert subprocess.run([sys.executable, "-c", first], check=False).returncode == -signal.SIGKILL
