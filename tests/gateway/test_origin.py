"""Which pages may call."""

from __future__ import annotations

import pytest

from penjing.gateway.origin import HostRefused, OriginRefused, Origins
from penjing.gateway.reply import Incoming

HERE, THERE = "127.0.0.1", "192.168.1.9"


def request(origin: str | None, host: str = "127.0.0.1:8000", peer: str = HERE, method: str = "POST") -> Incoming:
    headers = {b"host": host.encode()}
    if origin is not None:
        headers[b"origin"] = origin.encode()
    return Incoming(method, "/v1/models", headers=headers, peer=peer)


def test_programs_send_no_origin() -> None:
    assert Origins(()).admit(request(None)) == ()


def test_pages_of_this_machine_may_send_but_not_read() -> None:
    for origin in ("http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:8000"):
        assert Origins(()).admit(request(origin)) == ()


@pytest.mark.parametrize(
    ("origin", "host", "peer"),
    [
        ("http://evil.example", "127.0.0.1:8000", HERE),
        ("http://evil.example:8000", "evil.example:8000", HERE),
        ("http://evil.example:8000", "evil.example:8000", "::ffff:127.0.0.1"),
        ("http://evil.example:8000", "evil.example:8000", "127.0.0.2"),
        ("http://evil.example:8000", "evil.example:8000", ""),
        ("http://evil.example", "box.lan:8000", THERE),
        ("null", "127.0.0.1:8000", HERE),
        ("http://[", "127.0.0.1:8000", HERE),
        ("", "", THERE),
    ],
)
def test_others_are_refused(origin: str, host: str, peer: str) -> None:
    with pytest.raises(OriginRefused):
        Origins(("http://good.example",)).admit(request(origin, host, peer))


def test_a_page_that_was_served_here_to_another_machine() -> None:
    assert Origins(()).admit(request("http://box.lan:8000", "box.lan:8000", THERE)) == ()


@pytest.mark.parametrize("allowed", ["http://good.example", "*"])
def test_named_ones_may_read(allowed: str) -> None:
    told = dict(Origins((allowed,)).admit(request("http://good.example")))
    assert told[b"Access-Control-Allow-Origin"] == b"http://good.example"
    assert told[b"Vary"] == b"Origin"
    preflight = dict(Origins((allowed,)).admit(request("http://good.example", method="OPTIONS")))
    assert b"Authorization" in preflight[b"Access-Control-Allow-Headers"]


def test_a_page_that_may_call_may_send_the_headers_it_names() -> None:
    asking = request("http://good.example", method="OPTIONS")
    asking.headers[b"access-control-request-headers"] = b"authorization,x-stainless-os"
    told = dict(Origins(("http://good.example",)).admit(asking))
    assert told[b"Access-Control-Allow-Headers"] == b"authorization,x-stainless-os"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "EVIL.example.", "1.2.3.4.evil.example:80"])
@pytest.mark.parametrize("peer", [HERE, "::ffff:127.0.0.1", ""])
def test_nothing_is_read_under_a_name_that_was_made_to_point_here(method: str, host: str, peer: str) -> None:
    with pytest.raises(HostRefused, match="evil"):
        Origins(()).admit(request(None, host, peer, method))


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("localhost:8000", HERE),
        ("127.0.0.1:8000", HERE),
        ("[::1]:8000", HERE),
        ("::1", HERE),
        ("192.168.1.9", HERE),
        ("mybox:8000", HERE),
        ("mybox.local:8000", HERE),
        ("host.docker.internal:8000", HERE),
        ("", HERE),
        ("chat.good.example", HERE),
        ("box.example", THERE),
    ],
)
def test_names_that_may_be_read_under(host: str, peer: str) -> None:
    assert Origins(("https://chat.good.example",)).admit(request(None, host, peer, "GET")) == ()


def test_where_keys_are_needed_a_page_has_none() -> None:
    assert Origins((), lambda: False).admit(request(None, "chat.example", method="GET")) == ()


def test_whoever_lets_every_page_call_lets_every_name() -> None:
    assert Origins(("*",)).admit(request(None, "evil.example", method="GET")) == ()


def test_programs_may_ask_under_any_name() -> None:
    assert Origins(()).admit(request(None, "chat.example")) == ()
