"""The hub's process, in this one."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from penjing.fleet.hub.serve import run
from penjing.fleet.settings import HubSettings


def test_signals_are_heard_when_the_url_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    told: list[tuple[str, bool]] = []

    def listening(url: str, made: bool) -> None:
        told.append((url, made))
        assert signal.getsignal(signal.SIGINT) is not before  # what Python does with it may be lost
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(HubSettings(port=0), listening)
    assert [made for _, made in told] == [True, False]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(told[0][0] + "/health", timeout=5)
