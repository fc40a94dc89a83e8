"""Certificates for the local network: trusted by who trusts the authority, good for nothing else, renewed in time."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509

from penjing.gateway.certificate import AUTHORITY, AUTHORITY_KEY, SERVER, SERVER_KEY, Certificates, certificates

HOSTS = ("127.0.0.1", "localhost", "house.local")


def shake(made: Certificates, folder: Path, name: str) -> str:
    """The outcome of a handshake of a client that trusts the authority: "" or what it says."""
    client = ssl.create_default_context(cafile=str(folder / AUTHORITY))
    ours, theirs = socket.socketpair()

    def answer() -> None:
        try:
            made.context().wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    serving = threading.Thread(target=answer)
    serving.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as secured:
            assert secured.version() == "TLSv1.3"
        return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        ours.close()
        serving.join()


@pytest.mark.parametrize("host", HOSTS)
def test_who_trusts_the_authority_trusts_the_server(tmp_path: Path, host: str) -> None:
    assert shake(certificates(tmp_path, HOSTS), tmp_path, host) == ""


def test_another_name_is_not_trusted(tmp_path: Path) -> None:
    assert "mismatch" in shake(certificates(tmp_path, HOSTS), tmp_path, "other.local")


@pytest.mark.parametrize("host", ["bank.example.com", "93.184.216.34"])
def test_the_authority_cannot_vouch_for_names_of_the_internet(tmp_path: Path, host: str) -> None:
    assert "permitted subtree violation" in shake(certificates(tmp_path, (host,)), tmp_path, host)


def test_they_are_kept_and_their_keys_are_the_owner_s(tmp_path: Path) -> None:
    first = certificates(tmp_path, HOSTS)
    before = (tmp_path / SERVER).read_bytes()
    assert certificates(tmp_path, HOSTS[:1]) == first
    assert (tmp_path / SERVER).read_bytes() == before
    for name in (AUTHORITY_KEY, SERVER_KEY):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    digest = first.fingerprint.split(":")
    assert (len(digest), {len(pair) for pair in digest}) == (32, {2})


def test_a_new_address_gets_a_certificate_and_the_phone_needs_nothing_new(tmp_path: Path) -> None:
    first = certificates(tmp_path, HOSTS)
    second = certificates(tmp_path, (*HOSTS, "192.168.7.7"))
    assert second.authority == first.authority
    named = x509.load_pem_x509_certificate(second.server.read_bytes()).extensions
    addresses = named.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.IPAddress)
    assert "192.168.7.7" in map(str, addresses)


def test_it_is_renewed_before_it_ends(tmp_path: Path) -> None:
    certificates(tmp_path, HOSTS, datetime.now(timezone.utc) - timedelta(days=380))
    before = (tmp_path / SERVER).read_bytes()
    made = certificates(tmp_path, HOSTS)
    assert (tmp_path / SERVER).read_bytes() != before
    assert shake(made, tmp_path, "localhost") == ""


def test_what_is_no_certificate_is_made_again(tmp_path: Path) -> None:
    (tmp_path / SERVER).write_bytes(b"not one")
    (tmp_path / AUTHORITY).write_bytes(b"")
    assert shake(certificates(tmp_path, HOSTS), tmp_path, "localhost") == ""
