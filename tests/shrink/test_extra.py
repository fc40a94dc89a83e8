"""What the extra needs, and what is said before torch is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penjing.shrink.extra import ShrinkExtraMissing, require

TOLD = """
import os
from penjing.shrink import extra
extra.find_spec = lambda name: True
extra.require({names})
print(os.environ.get("GOMP_SPINCOUNT"))
"""


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ShrinkExtraMissing, match="no_such_package, nor_this"):
        require("sys", "no_such_package", "nor_this")


@pytest.mark.parametrize(("names", "said"), [("", "1000"), ("'torch', 'peft'", "1000"), ("'tokenizers'", "None")])
def test_threads_are_kept_from_spinning_where_torch_will_be(
    names: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    child = [sys.executable, "-c", TOLD.format(names=names)]
    assert subprocess.run(child, capture_output=True, text=True, check=True, timeout=60).stdout.strip() == said
