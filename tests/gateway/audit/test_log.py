"""The log through restarts, crashes and a full disk; whatever is done to its files is found."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.gateway.audit import log as module
from penjing.gateway.audit.files import HEAD, numbered, path_of
from penjing.gateway.audit.log import AuditInUse, Log, Rotation
from penjing.gateway.audit.verify import verify

SECRET = b"a secret of the house"


def record(number: int) -> Callable[[], dict[str, object]]:
    return lambda: {"what": "answer", "number": number, "text": "文字 \n and more"}


def written(folder: Path, count: int = 20, secret: bytes = b"", rotation: Rotation | None = None) -> Path:
    log = Log(folder, secret, rotation=rotation)
    for number in range(count):
        log.add(record(number))
    log.close()
    return folder


def lines(folder: Path) -> list[bytes]:
    return [line for _, path in numbered(folder) for line in path.read_bytes().splitlines(keepends=True)]


def test_it_verifies_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    for _ in range(3):
        written(tmp_path, 5)
    found = verify(tmp_path)
    assert (found.records, found.faults) == (3 * 7, [])
    assert [json.loads(line)["n"] for line in lines(tmp_path)] == list(range(1, 22))
    assert numbered(tmp_path)[0][1].stat().st_mode & 0o077 == 0


def test_rotation_and_retention(tmp_path: Path) -> None:
    log = Log(tmp_path, rotation=Rotation(most_bytes=600, keep=3))
    for number in range(60):
        log.add(record(number))
        log.settle()
    log.close()
    files = numbered(tmp_path)
    assert len(files) <= 4
    assert files[0][0] > 1
    assert verify(tmp_path).faults == []
    files[0][1].unlink()
    assert "missing" in verify(tmp_path).faults[0].what


def test_only_one_writes(tmp_path: Path) -> None:
    log = Log(tmp_path)
    with pytest.raises(AuditInUse):
        Log(tmp_path)
    log.close()
    Log(tmp_path).close()


async def test_written_means_on_disk(tmp_path: Path) -> None:
    log = Log(tmp_path, sync="always")
    await asyncio.gather(*(log.written(record(number)) for number in range(50)))
    assert sum(b'"answer"' in line for line in lines(tmp_path)) == 50
    assert json.loads((tmp_path / HEAD).read_bytes())["number"] == 51
    log.close()


Tampering = Callable[[list[bytes], int, int], list[bytes]]


def changed(all_lines: list[bytes], at: int, sign: int) -> list[bytes]:
    line = bytearray(all_lines[at])
    place = sign % (len(line) - 1)
    line[place] = line[place] ^ 1 if line[place] ^ 1 != 10 else line[place] ^ 2
    return [*all_lines[:at], bytes(line), *all_lines[at + 1 :]]


def missing(all_lines: list[bytes], at: int, sign: int) -> list[bytes]:
    return [*all_lines[:at], *all_lines[at + 1 :]]


def doubled(all_lines: list[bytes], at: int, sign: int) -> list[bytes]:
    return [*all_lines[: at + 1], *all_lines[at:]]


def moved(all_lines: list[bytes], at: int, sign: int) -> list[bytes]:
    other = (at + 1 + sign % (len(all_lines) - 1)) % len(all_lines)
    made = list(all_lines)
    made[at], made[other] = made[other], made[at]
    return made


def cut(all_lines: list[bytes], at: int, sign: int) -> list[bytes]:
    return all_lines[:at]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = written(tmp_path_factory.mktemp("audit"), 12, SECRET)
    assert verify(folder, SECRET).faults == []
    return folder


@settings(max_examples=300, deadline=None)
@given(
    tamper=st.sampled_from((changed, missing, doubled, moved, cut)), at=st.integers(0, 13), sign=st.integers(0, 9999)
)
def test_whatever_is_done_is_found(sound: Path, tamper: Tampering, at: int, sign: int) -> None:
    (_, path) = numbered(sound)[0]
    before = path.read_bytes()
    try:
        path.write_bytes(b"".join(tamper(before.splitlines(keepends=True), at, sign)))
        assert verify(sound, SECRET).faults
    finally:
        path.write_bytes(before)


def test_faults_name_file_and_line(sound: Path) -> None:
    (_, path) = numbered(sound)[0]
    before = path.read_bytes()
    try:
        path.write_bytes(b"".join(changed(before.splitlines(keepends=True), 4, 40)))
        (fault,) = verify(sound, SECRET).faults
        assert (fault.file, fault.line) == (path.name, 5)
    finally:
        path.write_bytes(before)


def test_a_chain_without_the_secret_is_not_it(tmp_path: Path) -> None:
    """Who can write the files but does not know the secret cannot make a log that verifies."""
    written(tmp_path, 3)
    assert verify(tmp_path, SECRET).faults
    assert verify(tmp_path).faults == []


def test_a_head_that_was_changed_or_removed(tmp_path: Path) -> None:
    head = written(tmp_path, 3, SECRET) / HEAD
    said = json.loads(head.read_bytes())
    head.write_text(json.dumps({**said, "number": said["number"] - 2}))
    assert verify(tmp_path, SECRET).faults
    head.write_text("{")
    assert "cannot be read" in verify(tmp_path, SECRET).faults[0].what
    head.unlink()
    assert "missing" in verify(tmp_path, SECRET).faults[0].what


KILLED = """
import sys
from pathlib import Path
from penjing.gateway.audit.log import Log

log = Log(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    number += 1
    log.add(lambda: {"what": "answer", "text": "x" * 3000})
    if number % 100 == 0:
        log.settle()
"""


def test_a_killed_writer_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (_, path) = numbered(tmp_path)[-1]
    with path.open("ab") as stream:
        stream.write(b'{"n": 9, "what": "ans')  # a write that a kill cuts, where this one did not
    torn = path.read_bytes().rpartition(b"\n")[2]
    written(tmp_path, 3)
    found = verify(tmp_path)
    assert found.faults == []
    (repaired,) = [json.loads(line) for line in lines(tmp_path) if b'"repaired"' in line]
    assert repaired["bytes"] == len(torn)
    assert base64.b64decode(repaired["torn"]) == torn[:4096]


def test_killed_when_a_new_file_had_only_just_begun(tmp_path: Path) -> None:
    written(tmp_path, 3)
    path_of(tmp_path, 2).write_bytes(b'{"n": 9, "what": "ans')
    written(tmp_path, 3)
    assert verify(tmp_path).faults == []


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    log = Log(tmp_path)
    full = True
    real = log._write

    def write(new: list[bytes]) -> None:
        if full and new:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(new)

    monkeypatch.setattr(log, "_write", write)
    for number in range(5):
        log.add(record(number))
    until(lambda: bool(log.failing))
    assert "space" in log.failing
    with pytest.raises(OSError, match="space"):
        asyncio.run(log.written(record(9)))
    full = False
    until(lambda: not log.failing)
    log.close()
    assert verify(tmp_path).faults == []
    assert [json.loads(line)["number"] for line in lines(tmp_path) if b'"answer"' in line] == list(range(5))
    assert log.lost == 0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_memory_cannot_hold_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 3)
    monkeypatch.setattr(module, "AGAIN", 0.05)
    log = Log(tmp_path)
    real = log._write
    monkeypatch.setattr(log, "_write", refuse)
    for number in range(9):
        log.add(record(number))
    until(lambda: log.lost > 0)
    monkeypatch.setattr(log, "_write", real)
    log.close()
    assert verify(tmp_path).faults == []


def refuse(new: list[bytes]) -> None:
    if new:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("sync", ["always", "second"])
def test_what_was_written_is_not_written_again_where_only_its_settling_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: module.Sync
) -> None:
    log = Log(tmp_path, sync=sync)
    real = module.write_head
    fails = [True]

    def sometimes(*given: object) -> None:
        if fails:
            fails.clear()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_head", sometimes)
    log._synced = 0.0
    for number in range(3):
        log.add(record(number))
    log.close()
    assert not fails
    assert verify(tmp_path).faults == []
    assert [json.loads(line).get("number") for line in lines(tmp_path)] == [None, 0, 1, 2, None]
