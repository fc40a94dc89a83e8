"""What the package carries is what the sources build, byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from penjing.export.page import built

pytestmark = pytest.mark.extras

WEB = Path(__file__).parents[2] / "web"


def test_the_sources_build_what_the_package_carries(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or not (WEB / "node_modules").is_dir():
        pytest.skip("needs node and the page's own packages: make web")
    environment = {**os.environ, "PENJING_WEB_OUT": str(tmp_path)}
    done = subprocess.run(
        [npm, "run", "--silent", "build"], cwd=WEB, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads((tmp_path / "built.json").read_text())
    assert made["source"] == built().source
    assert {name: each["sha256"] for name, each in made["files"].items()} == {
        asset.name: asset.sha256 for asset in built().assets
    }
