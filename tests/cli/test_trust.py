"""`penjing trust` as it is typed, and what it keeps from being loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from penjing.store.resolve import guide
from shells import Shell
from tiny_lora import write_tiny_lora
from tiny_model import Shape

ASK = ("-p", "hi", "--max-tokens", "2")


@pytest.fixture
def model(clean: Path, tmp_path: Path) -> Path:
    """Somebody's file, on a machine that loads nothing unsigned."""
    clean.mkdir()
    (clean / "config.toml").write_text("[trust]\nrequire = true\n")
    return Path(shutil.copy(guide(), tmp_path / "model.gguf"))


def test_a_file_is_refused_signed_loaded_altered_and_refused(shell: Shell, model: Path) -> None:
    refused = shell("chat", str(model), *ASK)
    assert refused.status == 3
    assert "not signed by a key that is trusted here" in refused.err
    assert "--allow-untrusted" in refused.err
    allowed = shell("chat", str(model), *ASK, "--allow-untrusted")
    assert allowed.status == 0
    assert "Loaded all the same (--allow-untrusted): " in allowed.err
    assert shell("chat", *ASK).status == 0  # what is built in is part of penjing

    assert shell("trust", "init").out.startswith("ed25519:")
    assert shell("trust", "sign", str(model)).status == 0
    assert model.with_name("model.gguf.manifest.json").is_file()
    assert shell("chat", str(model), *ASK).status == 0

    with model.open("r+b") as stream:
        stream.seek(-100, 2)
        stream.write(b"!")
    altered = shell("trust", "verify", str(model), "--json")
    assert altered.status == 3
    found = json.loads(altered.out)
    assert (found["state"], found["signers"], found["path"], found["loads"]) == ("altered", ["own"], model.name, False)
    assert "was altered after it was signed" in shell("chat", str(model), *ASK).err


def test_a_version_of_the_store(shell: Shell, model: Path) -> None:
    shell("store", "add", str(model), "--name", "mine")
    assert "mine@1 is not signed" in shell("explain", "mine").err
    shell("trust", "init", "release")
    assert "no key 'own'" in shell("trust", "sign", "mine").err
    assert shell("trust", "sign", "mine", "--key", "release").status == 0
    assert json.loads(shell("trust", "verify", "mine", "--json").out)["state"] == "signed"
    assert shell("explain", "mine").status == 0
    assert shell("trust", "remove", "release").status == 0
    assert "which is not trusted here for it" in shell("explain", "mine").err


def test_an_adapter_is_weights_too(shell: Shell, model: Path) -> None:
    adapter = write_tiny_lora(model.with_name("lora.gguf"), Shape(layers=6, width=256))  # the guide's
    assert shell("explain", "guide", "--lora", f"{adapter}=1").status == 3
    assert shell("explain", "guide", "--lora", f"{adapter}=1", "--allow-untrusted").status == 0


def test_keys(shell: Shell, clean: Path, tmp_path: Path) -> None:
    assert "No key is trusted here" in shell("trust", "list").err
    (tmp_path / "pw").write_text("open sesame\n")
    key = shell("trust", "init", "alice", "--passphrase-file", "pw").out.strip()
    assert oct((clean / "trust" / "keys" / "alice.pem").stat().st_mode)[-3:] == "600"
    assert shell("trust", "add", "bob", key, "--models", "qwen3*").status == 0
    assert "another one" in shell("trust", "add", "bob", "ed25519:" + "A" * 43 + "=").err
    listed = json.loads(shell("trust", "list", "--json").out)
    assert [(each["name"], each["models"]) for each in listed["trusted"]] == [("alice", ["*"]), ("bob", ["qwen3*"])]
    assert listed["signing"] == [{"name": "alice", "key": None, "locked": True}]
    shown = shell("trust", "list")
    assert "locked with a passphrase" in shown.out
    assert "Models from a hub must be signed" in shown.err
    assert shell("trust", "remove", "carol").status == 2
    assert shell("trust", "remove", "alice", "--signing-key").status == 0
    assert json.loads(shell("trust", "list", "--json").out)["signing"] == []
    assert "not a public key" in shell("trust", "add", "x", "ed25519:AAAA").err


def test_a_folder_that_was_entered_asks_for_less(shell: Shell, model: Path, tmp_path: Path) -> None:
    (tmp_path / "penjing.toml").write_text("[trust]\nrequire = false\n")
    assert "a file of the current folder, says that models need no signature" in shell("explain", str(model)).err
    (tmp_path / "penjing.toml").write_text("[trust]\nrequire = true\n")
    assert "[trust] require" in shell("explain", str(model)).err
