"""Devices for the fleet: processes with a home of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

from penjing.fleet.device import joined
from penjing.store.trust.faults import Distrusted
from penjing.store.versions import Store


class Device:
    """`penjing device sync --follow` as a process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.name = ""
        self.lines = home.with_suffix(".jsonl")
        self.process: subprocess.Popen[bytes] | None = None

    def join(self, url: str, token: str, name: str, mirrors: tuple[str, ...] = ()) -> None:
        """Become a device of the hub."""
        self.name = name
        with mock.patch.dict(os.environ, PENJING_HOME=str(self.home)):
            joined.join(url, token, self.name, mirrors)

    def start(self) -> None:
        """Follow from now on."""
        command = [sys.executable, "-m", "penjing", "device", "sync", "--follow", "--json"]
        with self.lines.open("ab") as out, self.home.with_suffix(".err").open("ab") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env={**os.environ, "PENJING_HOME": str(self.home)}
            )

    def kill(self) -> None:
        """The power goes."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self.process = None

    @property
    def store(self) -> Store:
        return Store(self.home / "store")

    def has(self, digest: str) -> bool:
        """Whether that version is what the model's name means here."""
        versions = self.store.versions("m")
        return bool(versions) and self.store.find("m").digest == digest and "stable" in self.store.tags("m")

    def rounds(self) -> list[dict[str, object]]:
        """What it told of the rounds that changed something or failed."""
        return [json.loads(line) for line in self.lines.read_text().splitlines()]

    def moved(self) -> int:
        """Bytes of chunks that came, as far as no kill hid them."""
        return sum(int(str(each["bytes"])) for each in self.rounds())

    def faults(self) -> str:
        """All of them."""
        return json.dumps([each["faults"] for each in self.rounds()])

    def loads(self) -> bool:
        """Whether it would be loaded there."""
        from penjing.store.admitting import of_version
        from penjing.store.trust.admit import admit

        with mock.patch.dict(os.environ, PENJING_HOME=str(self.home)):
            try:
                return admit(of_version(self.store.find("m"))).state == "signed"
            except Distrusted:
                return False
