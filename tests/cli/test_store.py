"""`penjing store` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.manifest import Manifest
from penjing.store.versions import Store
from shells import Shell
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture
def store(clean: Path) -> Store:
    """One model in two versions."""
    made = Store(clean / "store")
    for seed in (1, 2):
        path = write_tiny_gguf(clean.parent / f"{seed}.gguf", Shape(seed=seed))
        made.add({"tiny.gguf": path}, Manifest(name="tiny", version="", licence="MIT", quality={"perplexity": seed}))
    made.tag("tiny", "stable", "tiny@1")
    return made


def test_nothing_yet(clean: Path, shell: Shell) -> None:
    done = shell("store", "list")
    assert (done.status, done.out) == (0, "")
    assert "penjing pull" in done.err
    assert json.loads(shell("store", "list", "--json").out) == []


def test_list_and_show(store: Store, shell: Shell) -> None:
    out = shell("store", "list").out
    assert "tiny@1" in out
    assert "stable" in out
    first, second = json.loads(shell("store", "list", "--json").out)
    assert (first["number"], first["tags"], second["tags"]) == (1, ["stable"], [])
    assert json.loads(shell("store", "show", "tiny@2", "--json").out) == second
    assert second["digest"] == store.find("tiny@2").digest
    shown = shell("store", "show", "tiny", PENJING_LANGUAGE="zh").out
    assert "tiny@1" in shown
    assert "许可证" in shown
    missing = shell("store", "show", "tinny")
    assert (missing.status, "penjing store show tiny" in missing.err) == (3, True)


def test_rm(store: Store, shell: Shell) -> None:
    refused = shell("store", "rm", "tiny")
    assert (refused.status, "--all" in refused.err) == (2, True)
    assert shell("store", "rm", "tiny@2").status == 0
    assert [each.number for each in store.versions()] == [1]
    assert json.loads(shell("store", "rm", "tiny", "--all", "--json").out) == ["tiny@1"]
    assert store.versions() == []
