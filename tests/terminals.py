"""A terminal with `penjing` in it, as a person would sit before it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import psutil

CODES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-Z]|\x1b\][^\x07]*\x07|\x1b[=>]|\r")
PATIENCE = 90.0  # seconds: generous, since a test must not fail because a machine is slow


class Terminal:
    """Runs `penjing ARGUMENTS` on a pseudo terminal of `columns` by `rows`."""

    def __init__(self, *arguments: str, columns: int = 80, rows: int = 24) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penjing", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )
        os.close(slave)
        self.raw = b""
        self.seen = 0

    @property
    def text(self) -> str:
        """Everything printed so far, without codes."""
        return CODES.sub(b"", self.raw).decode(errors="replace")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def line(self, text: str) -> None:
        """Type a line and press Enter."""
        self.type(text + "\r")

    def expect(self, wanted: str) -> str:
        """Wait until `wanted` is printed after what was expected before; returns what came until then."""
        until = time.monotonic() + PATIENCE
        while wanted not in self.text[self.seen :]:
            if time.monotonic() > until or not self._read():
                raise AssertionError(f"{wanted!r} was not printed; this was:\n{self.text[self.seen :]}")
        place = self.text.index(wanted, self.seen)
        found, self.seen = self.text[self.seen : place], place + len(wanted)
        return found

    def ask(self, question: str) -> None:
        """Type a question and wait for the first words of its answer."""
        self.line(question)
        self.expect(question)
        until = time.monotonic() + PATIENCE
        while not re.search(r"\w", self.text[self.seen :].replace(question, "")):
            if time.monotonic() > until or not self._read():
                raise AssertionError(f"no answer; this was printed:\n{self.text[self.seen :]}")

    def _read(self) -> bool:
        """More output; False when the program has gone."""
        ready, _, _ = select.select([self.master], [], [], 0.5)
        if not ready:
            return True
        try:
            more = os.read(self.master, 65536)
        except OSError:  # Linux: the other end is closed
            return False
        self.raw += more
        return bool(more)

    def workers(self) -> list[psutil.Process]:
        """The engine processes under it."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "penjing.engines.llamacpp.worker" in child.cmdline()]

    def wait(self) -> int:
        """Read to the end; the exit status."""
        while self._read() and self.process.poll() is None:
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Hang up."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
