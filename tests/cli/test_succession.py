"""What a server does differently when it takes over from another."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from penjing.cli.succession import policies_of, taking
from penjing.errors import ModelNotFound
from penjing.gateway.audit.log import Log
from penjing.gateway.policies.audit import AuditOptions
from penjing.operate.succession import new
from penjing.operate.succession.channel import Channel, heard_first
from penjing.operate.succession.new import Heir


@pytest.fixture
def heir(monkeypatch: pytest.MonkeyPatch) -> tuple[Heir, socket.socket]:
    ours, theirs = socket.socketpair()
    found = Heir(ours, Channel(theirs))
    monkeypatch.setattr("penjing.cli.succession.heir", lambda: found)
    return found, ours


def folder_of(heir: Heir | None, options: AuditOptions) -> Path | None:
    told = policies_of(heir, {"audit": options, "keys": None})["audit"]
    assert isinstance(told, AuditOptions)
    return told.folder


def test_a_log_that_was_named_is_begun_beside_the_one_that_is_written(
    tmp_path: Path, heir: tuple[Heir, socket.socket]
) -> None:
    options = AuditOptions(folder=tmp_path / "log")
    assert folder_of(heir[0], options) == tmp_path / "log"
    first = Log(tmp_path / "log")
    assert folder_of(heir[0], options) == tmp_path / "log-2"
    second = Log(tmp_path / "log-2")
    first.close()
    assert folder_of(heir[0], options) == tmp_path / "log"
    second.close()
    assert folder_of(None, options) == tmp_path / "log"
    assert folder_of(heir[0], AuditOptions()) is None  # it finds one of its own
    heir[0].channel.close()
    heir[1].close()


@pytest.mark.parametrize(
    ("error", "told"), [(ModelNotFound(model="x"), "x"), (RuntimeError("ours"), "RuntimeError('ours')")]
)
def test_the_old_server_hears_why_it_cannot_start(
    heir: tuple[Heir, socket.socket], error: Exception, told: str
) -> None:
    with pytest.raises(type(error)), taking():
        raise error
    said = heard_first(heir[1])
    assert said["event"] == "failed"
    assert told in said["detail"]
    heir[0].channel.close()
    heir[1].close()


def test_usually_there_is_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(new.HEIR, raising=False)
    with taking() as found:
        assert found is None
