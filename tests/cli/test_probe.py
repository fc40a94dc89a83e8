from __future__ import annotations

import json
from pathlib import Path

from shells import Shell


def test_this_machine(shell: Shell) -> None:
    found = json.loads(shell("probe", "--json").out)
    assert found["physical_cores"] >= 1
    assert found["memory_total"] >= found["memory_available"] > 0
    assert isinstance(found["features"], list)
    assert "memory" in shell("probe").out
    assert "内存" in shell("probe", PENJING_LANGUAGE="zh").out


def test_a_model(shell: Shell, tiny: Path) -> None:
    found = json.loads(shell("probe", str(tiny), "--json").out)
    assert found["architecture"] == "llama"
    assert found["context"] == 512
    assert found["tensors"] == 2 * 9 + 2
    assert found["path"] == str(tiny)
    assert "512 tokens" in shell("probe", str(tiny)).out


def test_the_built_in_model(shell: Shell) -> None:
    found = json.loads(shell("probe", "guide", "--json").out)
    assert 4e6 < found["parameters"] < 1.2e7
    assert found["chat_template"]
