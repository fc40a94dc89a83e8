"""The built page: what the sources make, whole, and small."""

from __future__ import annotations

import gzip
import hashlib
import html
from pathlib import Path

from penjing.export.page import built, source_digest

WEB = Path(__file__).parents[2] / "web"
MOST_SHELL_BYTES = 250_000


def test_it_was_built_from_the_sources_that_are_here() -> None:
    assert built().source == source_digest(WEB), "the page is stale: make web"


def test_every_file_is_what_the_list_says() -> None:
    for asset in built().assets:
        plain = asset.plain()
        assert hashlib.sha256(plain).hexdigest() == asset.sha256, asset.name
        assert len(plain) == asset.size, asset.name


def test_the_shell_is_small() -> None:
    shell = sum(len(asset.gzipped()) for asset in built().assets if asset.shell)
    print(f"shell: {shell} bytes gzipped of at most {MOST_SHELL_BYTES}")
    assert shell == built().shell_bytes <= MOST_SHELL_BYTES


def test_the_index_names_only_files_that_are_there() -> None:
    by_name = {asset.name: asset for asset in built().assets}
    index = by_name["index.html"].plain().decode()
    named = [part.split('"', 1)[0] for part in index.split('="./')[1:]]
    assert named
    assert set(named) <= set(by_name)
    assert f'content="{built().policy}"' in html.unescape(index)


def test_nothing_is_loaded_from_elsewhere() -> None:
    policy = built().policy
    assert "http" not in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy


def test_gzip_carries_no_time_so_that_builds_are_the_same() -> None:
    for asset in built().assets:
        header = asset.gzipped()[:8]
        assert header[:2] == gzip.compress(b"")[:2]
        assert header[4:8] == b"\0\0\0\0", asset.name
