"""`penjing phone`: HTTPS with a key behind a code, for addresses of the local network only."""

from __future__ import annotations

import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from penjing.cli.phone import code
from shells import Shell


@pytest.fixture
def phone(clean: Path) -> Iterator[tuple[str, str]]:
    """A running `penjing phone`: its URL, and the key in it."""
    command = [sys.executable, "-m", "penjing", "phone", "--address", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url, _, key = process.stdout.readline().strip().partition("#key=")
    yield url, key
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert re.search(r"fingerprint: ([0-9A-F]{2}:){31}[0-9A-F]{2}", said), said
    assert process.returncode == 0


def read(url: str, trusted: Path, key: str = "") -> bytes:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    context = ssl.create_default_context(cafile=str(trusted))
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context, timeout=60) as answer:
        return bytes(answer.read())


def test_over_https_with_the_key_of_the_code(phone: tuple[str, str], clean: Path) -> None:
    url, key = phone
    trusted = clean / "phone" / "authority.pem"
    site = json.loads(read(f"{url}site.json", trusted))
    assert [model["name"] for model in site["models"]] == ["guide"]
    der = read(f"{url}authority.crt", trusted)
    assert ssl.DER_cert_to_PEM_cert(der).split() == trusted.read_text().split()
    assert json.loads(read(f"{url}v1/models", trusted, key))["data"][0]["id"] == "guide"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        read(f"{url}v1/models", trusted)
    assert (clean / "phone" / "key").read_text().strip() == key


def test_only_for_addresses_of_a_local_network(shell: Shell) -> None:
    done = shell("phone", "--address", "8.8.8.8")
    assert done.status == 2
    assert "no address of a local network" in done.err


def test_the_code_is_square_and_coloured_where_it_can_be() -> None:
    plain = code("https://192.168.1.2:8443/#key=abc", coloured=False).split("\n")
    assert len(plain) in (len(plain[0]) // 2, len(plain[0]) // 2 + 1)
    assert set("".join(plain)) <= set("█▀▄ ")
    coloured = code("https://192.168.1.2:8443/#key=abc", coloured=True)
    assert coloured.count("\033[0m") == len(plain)
