"""`penjing hub`, `penjing device` and `penjing pull hub:...` as people type them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import hubs
from penjing.store.versions import Store
from shells import Shell
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture
def running(clean: Path) -> Iterator[hubs.RunningHub]:
    """A hub on this machine, with one model."""
    with hubs.hub(clean) as made:
        yield made


@pytest.fixture
def model(clean: Path, shell: Shell) -> Path:
    path = write_tiny_gguf(clean.parent / "tiny.gguf", Shape(context=512))
    assert shell("store", "add", str(path), "--name", "tiny").status == 0
    return path


def test_from_the_office_to_a_device(running: hubs.RunningHub, model: Path, shell: Shell, tmp_path: Path) -> None:
    published = json.loads(shell("hub", "publish", "tiny", "--json").out)
    assert (published["version"], published["channel"], published["counter"]) == ("tiny@1", "stable", 1)
    listed = shell("hub", "list").out
    assert "tiny" in listed
    assert published["digest"][:12] in listed
    token = shell("hub", "token").out.strip()
    device = {"PENJING_HOME": str(tmp_path / "device")}
    joined = shell("device", "join", running.url, "--token", token, "--name", "reception", **device)
    assert (joined.status, "reception" in joined.err) == (0, True)
    assert "tiny@1 is stable now" in shell("device", "sync", **device).err
    assert "as the hub wants" in shell("device", "sync", **device).err
    status = json.loads(shell("device", "status", "--json", **device).out)
    assert (status["hub"], status["state"]["models"]) == (running.url, {"tiny": published["digest"]})
    assert "reception" in shell("device", "status", PENJING_LANGUAGE="zh", **device).out
    answer = shell("chat", "tiny", "--max-tokens", "3", given="hello\n", **device)
    assert (answer.status, "signed" in answer.err) == (0, False)
    shown = shell("hub", "devices").out
    assert "reception" in shown
    assert "tiny@1" in shown
    assert shell("hub", "assign", "reception", "--channel", "canary").status == 0
    failed = shell("device", "sync", **device)
    assert (failed.status, "tiny:canary" in failed.err) == (2, True)
    assert json.loads(shell("hub", "devices", "--json").out)[0]["state"]["code"] == "not_published"
    assert shell("device", "leave", **device).status == 0
    assert "no hub" in shell("device", "status", **device).err
    assert json.loads(shell("hub", "devices", "--json").out) == []


def test_pull_from_a_hub(running: hubs.RunningHub, model: Path, shell: Shell, tmp_path: Path) -> None:
    assert shell("hub", "publish", "tiny").status == 0
    here = {"PENJING_HOME": str(tmp_path / "other")}
    missing = shell("pull", "hub:tiny", **here)
    assert (missing.status, "PENJING_HUB_URL" in missing.err) == (2, True)
    here["PENJING_HUB_URL"] = running.url
    pulled = json.loads(shell("pull", "hub:tiny", "--json", **here).out)
    assert (pulled["version"], pulled["known"]) == ("tiny@1", False)
    assert 0.9 * model.stat().st_size < pulled["moved"] <= model.stat().st_size  # equal chunks come once
    store = Store(tmp_path / "other" / "store")
    assert store.find("tiny").path.read_bytes() == model.read_bytes()
    assert json.loads(shell("pull", "hub:tiny:1", "--json", **here).out)["known"]
    refused = shell("chat", "tiny", given="hello\n", **here)  # nobody here trusts who signed it
    assert (refused.status, "penjing trust add" in refused.err) == (3, True)
    assert shell("pull", "hub:none", **here).status == 2
    assert shell("pull", "hub:tiny:7", **here).status == 3
    folder = tmp_path / "folder"
    assert shell("pull", "hub:tiny", "--output", str(folder), **here).status == 0
    assert (folder / "tiny.gguf").read_bytes() == model.read_bytes()


def test_errors_say_what_to_do(clean: Path, shell: Shell) -> None:
    for arguments, word in (
        (("hub", "list"), "penjing hub serve"),
        (("hub", "publish", "none"), "penjing store list"),
        (("hub", "token", "--hub", "http://127.0.0.1:9", "--hours", "0"), "hours"),
        (("hub", "assign", "x", "--hub", "http://127.0.0.1:9"), "--channel"),
        (("hub", "list", "--hub", "nonsense"), "https://hub.example:8800"),
        (("device", "join", "http://127.0.0.1:9"), "--token"),
        (("device", "join", "http://127.0.0.1:9", "--token", "x"), "penjing hub token"),
        (("device", "sync"), "penjing device join"),
        (("hub", "serve", "--database", "nonsense"), "sqlite:///FILE"),
        (("hub", "serve", "--blobs", "nonsense://x"), "s3://BUCKET"),
        (("hub", "serve", "--port", "70000"), "65535"),
        (("hub", "serve", "--every", "0"), "every"),
    ):
        done = shell(*arguments)
        assert (done.status, word in done.err) == (2 if "none" not in arguments else 3, True), done


def test_without_the_extra(clean: Path, shell: Shell, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked" / "fastapi"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('no', name='fastapi')")
    path = os.pathsep.join([str(blocked.parent), os.environ.get("PYTHONPATH", "")])
    done = shell("hub", "serve", PYTHONPATH=path)
    assert (done.status, "pip install 'penjing[hub]'" in done.err) == (2, True)
    assert not (clean / "hub").exists()
    assert shell("device", "status", PYTHONPATH=path).status == 2  # a device needs none of it


def test_ctrl_c_ends_a_hub(clean: Path) -> None:
    with hubs.hub(clean) as running:
        assert running.stop(signal.SIGINT) in (0, 130)
        running.start()  # the same key, the same data
        assert running.stop() in (0, -signal.SIGTERM)
