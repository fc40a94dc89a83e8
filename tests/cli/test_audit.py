"""`penjing audit` on a real log."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from penjing.gateway.audit.log import Log
from shells import Shell


@pytest.fixture
def folder(clean: Path) -> Path:
    log = Log(clean / "audit")
    for number, key in enumerate(("one", "two", "one")):
        record = {"at": f"2026-11-2{number}T12:00:00.000Z", "what": "answer", "key": key, "question": "=1+1"}
        log.add(lambda record=record: record)  # type: ignore[misc]  # mypy cannot infer a lambda's defaults
    log.close()
    return clean / "audit"


def test_it_is_as_it_was_written(folder: Path, shell: Shell) -> None:
    done = shell("audit", "verify")
    assert done.status == 0
    assert "5 records in 1 files" in done.out
    (found,) = json.loads(shell("audit", "verify", "--json").out)
    assert (found["folder"], found["faults"]) == (str(folder), [])


def test_it_is_not(folder: Path, shell: Shell) -> None:
    (path,) = folder.glob("*.jsonl")
    path.write_text(path.read_text().replace('"key":"two"', '"key":"six"'))
    done = shell("audit", "verify")
    assert done.status == 1
    assert path.name in done.out
    assert "changed" in done.out
    assert "1 faults" in done.err
    assert "问题" in shell("audit", "verify", PENJING_LANGUAGE="zh").err


def test_what_it_holds(folder: Path, shell: Shell, tmp_path: Path) -> None:
    lines = shell("audit", "export", "--key", "one").out.splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["one", "one"]
    between = ("--from", "2026-11-21T00:00+00:00", "--to", "2026-11-22T00:00+00:00")
    (line,) = shell("audit", "export", *between).out.splitlines()
    assert json.loads(line)["key"] == "two"
    shell("audit", "export", "--format", "csv", "--output", str(tmp_path / "all.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert [row["key"] for row in rows] == ["one", "two", "one"]
    assert rows[0]["question"] == "'=1+1"


@pytest.mark.usefixtures("folder")
def test_what_cannot_be(shell: Shell, tmp_path: Path) -> None:
    nowhere = shell("audit", "verify", "--folder", str(tmp_path / "nowhere"))
    assert (nowhere.status, "no audit log" in nowhere.err) == (2, True)
    assert "yesterday" in shell("audit", "export", "--from", "yesterday").err
    assert shell("audit", "export", "--format", "xml").status == 2
