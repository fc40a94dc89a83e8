"""API keys by themselves (over HTTP: test_app)."""

from __future__ import annotations

import pytest

from penjing.errors import AccessError
from penjing.gateway.grant import OPEN
from penjing.gateway.policies.keys import Keys
from penjing.gateway.reply import Incoming


def carrying(header: bytes) -> Incoming:
    return Incoming("POST", "/", headers={b"authorization": header})


def test_open_without_keys() -> None:
    assert Keys(()).admit(Incoming("POST", "/")) is OPEN


def test_the_name_of_a_key_is_not_the_key() -> None:
    keys = Keys(("secret-one", "钥匙"))
    name = keys.admit(carrying(b"Bearer secret-one")).name
    assert len(name) == 8
    assert "secret" not in name
    assert keys.admit(carrying("bearer  钥匙 ".encode())).name != name


@pytest.mark.parametrize(
    "header", [b"", b"secret-one", b"Basic secret-one", b"Bearer", b"Bearer ", b"Bearer secret-on"]
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(AccessError):
        Keys(("secret-one",)).admit(carrying(header))
