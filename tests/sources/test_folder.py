"""Files of this machine as a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from penjing.errors import ModelNotFound
from penjing.sources.faults import UnknownScheme
from penjing.sources.names import Reference
from penjing.sources.source import listing, source


def test_a_folder_and_a_file_with_its_shards(tmp_path: Path) -> None:
    for name in ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "b-00001-of-00002.gguf", ".hidden", "in/c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    whole = listing(f"file:{tmp_path}")
    assert [file.path for file in whole.files] == [
        *("a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "b-00001-of-00002.gguf", "in/c.json"),
    ]
    found = listing(f"file:{tmp_path}/a-00002-of-00002.gguf")
    assert [file.path for file in found.files] == ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        listing(f"file:{tmp_path}/none")


def test_a_scheme_nobody_registered() -> None:
    with pytest.raises(UnknownScheme) as refused:
        source(Reference("ftp", "x"))
    assert "hf:" in refused.value.advice("en")
