"""Proxies and certificates, over real sockets."""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from penjing.sources.client import CertificateRefused, Client
from penjing.sources.faults import SourceUnreachable
from penjing.sources.patience import Patience
from penjing.sources.source import listing


class Plain(BaseHTTPRequestHandler):
    """One file at every address."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"GGUF")

    def log_message(self, *words: object) -> None: ...


class Proxy(Plain):
    """Forwards plain requests and tunnels encrypted ones; what it saw is in `seen`."""

    seen: list[str]
    refuses = False

    def do_GET(self) -> None:
        self.seen.append(self.path)
        address = urlsplit(self.path)
        connection = HTTPConnection(address.netloc)
        connection.request("GET", address.path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        self.seen.append(self.path)
        if self.refuses:
            self.send_error(407)
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: there, there: self.connection}
            while True:
                ready, _, _ = select.select([*ends], [], [], 5)
                for end in ready:
                    content = end.recv(65536)
                    if not content:
                        return
                    ends[end].sendall(content)


@contextmanager
def running(kind: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        server.block_on_close = False
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a proxy that this environment names has seen."""
    monkeypatch.setattr(Patience, "pause", lambda self, failures: 0.0)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    Proxy.seen, Proxy.refuses = [], False
    with running(Proxy) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        yield Proxy.seen


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that a company makes for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "penjing's tests")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running(Plain, context) as port:
        yield f"https://127.0.0.1:{port}/m.gguf"


def test_a_proxy_is_used(seen: list[str]) -> None:
    with running(Plain) as port:
        url = f"http://127.0.0.1:{port}/m.gguf"
        assert listing(url).files[0].bytes == 4
        assert seen == [url]


def test_a_host_without_a_proxy(seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running(Plain) as port:
        assert listing(f"http://127.0.0.1:{port}/m.gguf").files[0].bytes == 4
    assert seen == []


def test_through_a_proxy_it_stays_encrypted(
    seen: list[str], secure: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert listing(secure).files[0].bytes == 4
    assert seen == [urlsplit(secure).netloc]


def test_a_proxy_that_refuses_is_named_as_such(seen: list[str], secure: str) -> None:
    Proxy.refuses = True
    with pytest.raises(SourceUnreachable, match="the proxy answers HTTP 407"):
        listing(secure)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(
    secure: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with pytest.raises(CertificateRefused, match=r"127\.0\.0\.1"):
        listing(secure)
    monkeypatch.setenv(variable, str(certificate))
    assert listing(secure).files[0].bytes == 4


async def test_a_name_that_nobody_knows_is_soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*words: object, **more: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    waits: list[float] = []
    patience = Patience(attempts=9, first=0.01)
    async with Client(patience, lambda host, seconds: waits.append(seconds)) as client:
        with pytest.raises(SourceUnreachable, match=r"nowhere\.invalid"):
            await client.json("https://nowhere.invalid/m.gguf", {})
    assert len(waits) == 1
