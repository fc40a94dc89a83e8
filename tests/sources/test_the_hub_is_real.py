"""What the official client makes of the hub of our tests, and we of the cache that it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_hub import COMMIT, Hub, Repository, serving
from penjing.store.adopt import adopt, chosen, spelled
from penjing.store.neighbours import of_huggingface
from penjing.store.order import order
from penjing.store.pull import pull
from penjing.store.versions import Store
from tiny_model import write_tiny_gguf

pytestmark = pytest.mark.extras
OFFICIAL = "from huggingface_hub import snapshot_download; print(snapshot_download('o/r-GGUF', max_workers=2))"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    card = b"---\nlicense: apache-2.0\n---\n"
    files = {"r-F32.gguf": write_tiny_gguf(tmp_path / "r.gguf").read_bytes(), "README.md": card, "in/side.json": b"{}"}
    for name, folder in (("HF_HOME", "hf"), ("PENJING_HOME", "penjing"), ("HOME", ".")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # our hub has no Xet servers behind it
    with serving({"o/r-GGUF": Repository(files)}, page=2) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_the_official_client_fetches_from_it_and_its_cache_is_adopted(hub: Hub, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", OFFICIAL], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    snapshot = Path(done.stdout.strip())
    assert snapshot.name == COMMIT
    for path, content in hub.repositories["o/r-GGUF"].files.items():
        assert (snapshot / path).read_bytes() == content
    known = list(of_huggingface(tmp_path / "hf" / "hub"))
    assert [(spelled(each), each.licence, each.source) for each in known] == [
        ("o/r-GGUF:F32", "apache-2.0", f"hf:o/r-GGUF@{COMMIT}")
    ]
    before = hub.moved
    fetched = pull(order("hf:o/r-GGUF"))
    assert (fetched.moved, fetched.linked, hub.moved) == (0, fetched.order.bytes, before)
    kept = adopt(Store(), chosen(known, "o/r-GGUF"))
    assert kept.path.samefile(fetched.path)
    assert kept.path.samefile(snapshot / "r-F32.gguf")
