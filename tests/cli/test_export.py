"""`penjing export`: a folder that is whole, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from penjing.export.page import built
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
