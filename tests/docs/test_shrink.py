"""The recipe that the pages show does what they say, also when it is killed on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penjing import manifest
from penjing.shrink import recipe
from penjing.shrink.steps.table import kinds

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE = 800.0
"""Seconds until the training has kept a state, on a busy machine."""


def shown(language: str) -> str:
    page = (DOCS / language / "shrink.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    return str(found)


def test_both_pages_show_a_recipe_that_can_be_read() -> None:
    assert shown("en") == shown("zh")
    read = recipe.parse(shown("en"), kinds())
    assert [step.kind for step in read.steps] == ["prune", "distill", "quantize", "evaluate"]
    assert read.model == "guide"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_of_step_is_told(language: str) -> None:
    page = (DOCS / language / "shrink.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(kinds())


@pytest.mark.extras
@pytest.mark.timeout(1800)
def test_it_runs_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(shown("en"), encoding="utf-8")
    command = [sys.executable, "-m", "penjing", "shrink", "--recipe", "recipe.toml", "-o", "small", "--json"]
    told = {**os.environ, "PENJING_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    with subprocess.Popen(command, cwd=tmp_path, env=told, stdout=subprocess.DEVNULL) as process:
        begun = time.monotonic()
        while process.poll() is None and not list(tmp_path.glob(".small.shrink/*/output.training/step-*")):
            assert time.monotonic() - begun < PATIENCE
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "small").exists()
    done = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert [step["resumed"] for step in result["steps"]] == [True, False, False, False]
    prune, distill, quantize, _ = result["steps"]
    assert prune["found"]["parameters"]["after"] == pytest.approx(
        0.8 * prune["found"]["parameters"]["before"], rel=0.05
    )
    assert all(step["data"] for step in result["steps"])
    assert distill["libraries"].keys() >= {"penjing", "torch", "transformers"}
    assert quantize["found"]["kl_calibration"] > 0
    assert result["facts"]["bits_per_weight"] <= 4.5
    assert result["quality"]["text"]["against"]["kl"]["value"] > 0
    assert result["quality"]["tasks"][0]["questions"] == 20
    said = manifest.load(tmp_path / "small")
    assert manifest.changed(said, tmp_path / "small") == []
    page = (tmp_path / "small" / "report.html").read_text(encoding="utf-8")
    assert "What each layer is worth" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "recipe.toml", "small"]
