"""`penjing seal` and `unseal` as they are typed, and sealed models that are run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from penjing.store.resolve import guide
from shells import Shell

KEY = "echo " + "5a" * 32
ASK = ("-p", "hi", "--max-tokens", "4", "--temperature", "0")
mapped = pytest.mark.skipif(sys.platform != "linux", reason="files that are only in memory are Linux's")


@pytest.fixture
def model(clean: Path, tmp_path: Path) -> Path:
    (tmp_path / "pw").write_text("correct horse\n")
    return Path(shutil.copy(guide(), tmp_path / "model.gguf"))


@mapped
def test_a_file(shell: Shell, model: Path) -> None:
    plain = shell("chat", str(model), *ASK)
    done = shell("seal", str(model), "--passphrase-file", "pw", "--key-command", KEY, "--replace")
    assert done.status == 0
    assert "model.gguf.sealed is sealed" in done.err
    assert not model.exists()
    sealed = str(model) + ".sealed"
    refused = shell("chat", sealed, *ASK)
    assert refused.status == 2
    assert "it opens with: command, passphrase" in refused.err
    for means in (("--passphrase-file", "pw"), ("--key-command", KEY)):
        assert shell("chat", sealed, *ASK, *means).out == plain.out
    assert "does not open with this key" in shell("explain", sealed, "--key-command", "echo " + "00" * 32).err
    assert "--bits cannot be used with the sealed model" in shell("explain", sealed, "--bits", "4").err
    assert "is a sealed model" in shell("probe", sealed).err
    assert shell("unseal", sealed, "--output", "again.gguf", "--passphrase-file", "pw").status == 0
    assert Path("again.gguf").read_bytes() == guide().read_bytes()
    assert "is not a sealed file" in shell("unseal", "again.gguf", "--output", "x").err


@mapped
def test_a_version_of_the_store(shell: Shell, clean: Path, model: Path) -> None:
    shell("store", "add", str(model), "--name", "mine", "--tag", "stable")
    done = json.loads(shell("seal", "mine", "--key-command", KEY, "--replace", "--json").out)
    assert done["model"] == "mine@2"
    (left,) = json.loads(shell("store", "list", "--json").out)
    assert (left["number"], left["tags"]) == (2, ["stable"])
    assert left["manifest"]["recipe"] == {"sealed": "aes-256-gcm"}
    weights = guide().read_bytes()[-4096:]
    assert [path for path in clean.rglob("*") if path.is_file() and weights in path.read_bytes()] == []
    assert "mine" in shell("explain", "mine", "--key-command", KEY).out
    (clean / "config.toml").write_text(f'[seal]\nkey_command = "{KEY}"\n')
    assert shell("chat", "mine", *ASK).status == 0
    assert shell("store", "add", left["path"], "--name", "carried").status == 0


def test_what_cannot_be(shell: Shell, model: Path) -> None:
    changing = shell("seal", str(model), "--key-command", "openssl rand -hex 32")
    assert changing.status == 2
    assert "The key differs from one time to the next (command)" in changing.err
    assert not Path(str(model) + ".sealed").exists()
    assert "Say what shall open the sealed model" in shell("seal", str(model)).err
    assert "do not go together" in shell("seal", str(model), "--replace", "--output", "x").err
    assert "is built in" in shell("seal", "guide").err
    assert "--cipher" in shell("seal", str(model), "--cipher", "rot13", "--key-command", KEY).err
    shell("seal", str(model), "--key-command", KEY)
    assert "sealed already" in shell("seal", str(model) + ".sealed", "--key-command", KEY).err
    Path("penjing.toml").write_text(f'[seal]\nkey_command = "{KEY}"\n')
    assert "a file of the current folder" in shell("chat", str(model) + ".sealed", *ASK).err
