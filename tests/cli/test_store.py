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


def test_add_and_tag(clean: Path, shell: Shell) -> None:
    path = write_tiny_gguf(clean.parent / "My Model.gguf")
    added = json.loads(shell("store", "add", str(path), "--tag", "stable", "--json").out)
    assert (added["name"], added["tags"], added["manifest"]["facts"]["architecture"]) == (
        "my-model",
        ["stable"],
        "llama",
    )
    assert shell("store", "tag", "my-model@1", "canary").status == 0
    assert shell("store", "tag", "my-model:stable", "--remove").status == 0
    assert Store(clean / "store").tags("my-model") == {"canary": 1}
    unclear = shell("store", "tag", "my-model@1")
    assert (unclear.status, "--remove" in unclear.err) == (2, True)
    assert shell("store", "tag", "my-model@1", "latest").status == 2
    assert shell("store", "add", str(clean.parent / "nothing.gguf")).status == 3


def test_room(store: Store, shell: Shell) -> None:
    used = json.loads(shell("store", "du", "--json").out)
    assert used["disk"] <= used["apart"] + 20_000
    assert "tiny@1" in shell("store", "du").out
    done = json.loads(shell("store", "gc", "--dry-run", "--json").out)
    assert done == {"rested": [], "kept": {}, "conversions": [], "freed": 0}
    assert shell("store", "gc").status == 0
    assert "2" in shell("store", "verify").out
    path = store.find("tiny@2").path
    path.write_bytes(bytes(path.stat().st_size))
    damaged = shell("store", "verify")
    assert (damaged.status, "tiny@2" in damaged.out, "fetch it again" in damaged.err) == (3, True, True)
    assert json.loads(shell("store", "verify", "--json").out)[0]["where"] == "tiny@2: tiny.gguf"


def test_from_home_to_home(store: Store, shell: Shell, tmp_path: Path) -> None:
    bundle, elsewhere = str(tmp_path / "usb"), str(tmp_path / "elsewhere")
    out = json.loads(shell("store", "export", "tiny", "--output", bundle, "--json").out)
    assert out["versions"] == ["tiny@1"]
    assert shell("store", "export", "tiny@2", "--since", "tiny", "--output", bundle).status == 0
    (found,) = json.loads(shell("store", "import", bundle, "--json", PENJING_HOME=elsewhere).out)
    assert (found["number"], found["digest"]) == (1, store.find("tiny").digest)
    assert shell("store", "import", bundle, "tiny@2", PENJING_HOME=elsewhere).status == 0
    nowhere = shell("store", "import", str(tmp_path))
    assert (nowhere.status, "penjing store export" in nowhere.err) == (3, True)
