"""`penjing release` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.gateway.audit.export import records
from penjing.gateway.audit.verify import verify
from penjing.manifest import Manifest
from penjing.store import channels
from penjing.store.versions import Store
from shells import Shell
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture
def store(clean: Path) -> Store:
    """One model in three versions; the first is stable."""
    made = Store(clean / "store")
    for seed in (1, 2, 3):
        path = write_tiny_gguf(clean.parent / f"{seed}.gguf", Shape(seed=seed))
        made.add({"tiny.gguf": path}, Manifest(name="tiny", version=""))
    made.tag("tiny", "stable", "tiny@1")
    return made


def test_a_canary_from_its_beginning_to_its_end(store: Store, clean: Path, shell: Shell) -> None:
    tried = shell("release", "canary", "tiny@3", "--share", "25%", "--worse", "ttft=2", "--json")
    assert (tried.status, "tiny@3" in tried.err, "tiny@1" in tried.err) == (0, True, True)
    canary = json.loads(tried.out)["canary"]
    assert (canary["number"], canary["share"], canary["worse"], canary["verdict"]) == (
        3,
        0.25,
        {"ttft": 2},
        "undecided",
    )
    shown = shell("release", "status", "tiny", PENJING_LANGUAGE="zh")
    assert "灰度版本" in shown.out
    assert "tiny@3 (25%)" in shown.out
    assert shell("release", "promote", "tiny").status == 0
    assert json.loads(shell("release", "status", "tiny", "--json").out)["stable"] == 3
    back = json.loads(shell("release", "rollback", "tiny", "--json").out)
    assert (back["stable"], back["canary"]) == (1, None)
    assert [each["what"] for each in back["decisions"]] == ["tried", "promoted", "rolled_back"]
    log = clean / "audit"
    kept = [said for said in records([log]) if said["what"] == "release"]
    assert [(said["decision"], said["version"], said["by"]) for said in kept] == [
        ("tried", "tiny@3", "person"),
        ("promoted", "tiny@3", "person"),
        ("rolled_back", "tiny@3", "person"),
    ]
    assert verify(log, b"").faults == []


def test_status_of_all(store: Store, shell: Shell) -> None:
    channels.pin(store, store.find("tiny@2"), on=True)
    out = shell("release", "status").out
    assert "tiny@2" in out
    assert "pinned" in out
    (only,) = json.loads(shell("release", "status", "--json").out)
    assert (only["name"], only["stable"], only["pinned"], only["before"]) == ("tiny", 2, True, [1])


def test_pin_and_let_go(store: Store, shell: Shell) -> None:
    assert shell("release", "pin", "tiny@2").status == 0
    refused = shell("release", "promote", "tiny@3")
    assert (refused.status, "penjing release pin tiny --off" in refused.err) == (2, True)
    assert shell("release", "pin", "tiny", "--off").status == 0
    assert shell("release", "promote", "tiny@3").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "tiny"), "has no canary"),
        (("rollback", "tiny"), "no version of tiny to go back to"),
        (("canary", "tiny@1"), "stable already"),
        (("canary", "tiny@3", "--share", "0"), "--share"),
        (("canary", "tiny@3", "--risk", "x"), "--risk"),
        (("canary", "tiny@3", "--conversations", "3"), "tell nothing at a risk of 5.00%"),
        (("canary", "tiny@3", "--worse", "smell=2"), "ttft"),
        (("canary", "tiny@3", "--yardstick", "missing.jsonl"), "missing.jsonl, line 1"),
        (("canary", "tinny@3"), "Near it: tiny"),
        (("status", "nothing"), "no 'nothing' in the store"),
    ],
)
def test_what_cannot_be_is_told(store: Store, shell: Shell, words: tuple[str, ...], said: str) -> None:
    done = shell("release", *words)
    assert done.status in (2, 3)
    assert said in done.err
    assert channels.canary(store, "tiny") is None


def test_no_log_is_kept_where_none_is_wished(store: Store, clean: Path, shell: Shell) -> None:
    (clean.parent / "penjing.toml").write_text("[audit]\nenabled = false\n", encoding="utf-8")
    assert shell("release", "promote", "tiny@2").status == 0
    assert not (clean / "audit").exists()
