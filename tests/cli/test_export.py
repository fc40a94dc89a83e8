"""`penjing export`: a folder that is whole, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from penjing.export.page import built
from penjing.store.resolve import guide
from shells import Shell


def test_the_page_with_the_model_inside(shell: Shell, tmp_path: Path) -> None:
    done = shell("export", "--target", "web", "--output", "page", "--json")
    assert done.status == 0, done.err
    said = json.loads(done.out)
    folder = tmp_path / "page"
    assert {each["path"] for each in said["files"]} >= {asset.name for asset in built().assets}
    site = json.loads((folder / "site.json").read_text())
    (model,) = site["models"]
    content = (folder / model["file"]).read_bytes()
    assert site["server"] is False
    assert (model["name"], model["bytes"], model["context"]) == ("guide", len(content), 1024)
    assert model["sha256"] == hashlib.sha256(content).hexdigest()
    for asset in built().assets:
        assert hashlib.sha256((folder / asset.name).read_bytes()).hexdigest() == asset.sha256
    again = shell("export", "--target", "web", "--output", "page")
    assert again.status == 2
    assert "there already" in again.err


def test_what_is_refused(shell: Shell, tmp_path: Path) -> None:
    for arguments, said in (
        (("--target", "toaster", "--output", "x"), "target"),
        (("--target", "web"), "--output"),
        (("http://office:8000", "--target", "web", "--output", "x"), "server"),
        (("./none.gguf", "--target", "web", "--output", "x"), "none.gguf"),
    ):
        done = shell("export", *arguments)
        assert done.status in (2, 3)
        assert said in done.err
    assert not (tmp_path / "x").exists()


def test_a_file_for_llama_cpp(shell: Shell, tmp_path: Path) -> None:
    done = shell("export", "guide", "--target", "gguf", "--precision", "Q8_0", "--no-check", "--output", "g", "--json")
    assert done.status == 0, done.err
    said = json.loads(done.out)
    assert (said["target"], said["precision"], said["check"]) == ("gguf", "q8_0", None)
    assert "model.gguf" in {each["path"] for each in said["files"]}
    assert said["bytes"] < 0.3 * said["fp32_bytes"]
    manifest = json.loads((tmp_path / "g" / "manifest.json").read_text())
    assert manifest["recipe"]["steps"][-1]["options"]["target"] == "gguf"
    assert not (tmp_path / "g" / "check.json").exists()


def test_options_of_other_targets_are_refused(shell: Shell, tmp_path: Path) -> None:
    for arguments, said in (
        (("--target", "gguf", "--bits", "4"), "--bits"),
        (("--target", "gguf", "--precision", "int4"), "q4_k_m"),
        (("--target", "gguf", "--context", "many"), "context"),
        (("--target", "web", "--context", "64"), "--context"),
        ((), "onnx"),
    ):
        done = shell("export", "guide", *arguments, "--output", "x")
        assert done.status == 2
        assert said in done.err
    done = shell("export", str(guide()), "--target", "gguf", "--output", "x")
    assert done.status == 3
    assert "checkpoint" in done.err
    assert not (tmp_path / "x").exists()
