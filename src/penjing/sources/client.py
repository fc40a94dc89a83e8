"""HTTP with patience: proxies of the environment, redirects that lose the token, retries that wait as long as asked.

Environment: HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE, REQUESTS_CA_BUNDLE.

Does not know: what is asked and answered.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from penjing.sources.faults import ForeignAnswer, NetworkError, SourceFailed, SourceUnreachable, TooManyRequests
from penjing.sources.patience import Patience, asked_to_wait
from penjing.sources.reply import Reply

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
MOST_REDIRECTS = 10
AGAIN = (408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
"""Statuses that may be another the next time (520 and later: Cloudflare and others between)."""
MOVED = (301, 302, 303, 307, 308)
LARGEST_PAGE = 64 << 20
"""Bytes of the longest answer that is taken into memory whole."""
CONNECTIONS = 32
NAMELESS = 2
"""Attempts at a host whose name nobody knows, as long as no host answered: whoever is offline wants to hear it soon."""


class CertificateRefused(SourceUnreachable):
    """Facts: `host`, `detail`."""

    template = "The certificate of {host} is not trusted here: {detail}"
    hint = "Behind a company's proxy give its certificate: SSL_CERT_FILE=PATH. Is this machine's clock right?"
    code = "source_certificate"


@dataclass(frozen=True)
class Question:
    """What to send. `secrets` go to the host of `url` only; `span` is the first byte and the one after the last
    (None: to the end), or None for the whole; with `version` (an ETag) the span is only taken of that version. `body`
    is sent, again with each attempt."""

    url: str
    secrets: Mapping[str, str]
    method: str = "GET"
    span: tuple[int, int | None] | None = None
    version: str = ""
    body: bytes | None = None

    def headers(self) -> dict[str, str]:
        """Headers without secrets. Compression would make lengths and digests those of something else."""
        headers = {"Accept-Encoding": "identity"}
        if self.span is not None:
            first, stop = self.span
            headers["Range"] = f"bytes={first}-{'' if stop is None else stop - 1}"
            if self.version and not self.version.startswith("W/"):
                headers["If-Range"] = self.version
        return headers


class Client:
    """Asks, and asks again where that can help. An async context manager. `waiting(host, seconds)` is told before each
    pause."""

    def __init__(self, patience: Patience | None = None, waiting: Callable[[str, float], None] | None = None) -> None:
        self.patience = patience or Patience()
        self._waiting = waiting
        self._session: aiohttp.ClientSession | None = None
        self._online = False

    async def __aenter__(self) -> Client:
        import aiohttp

        import penjing

        patience = aiohttp.ClientTimeout(
            total=None, sock_connect=self.patience.connect, sock_read=self.patience.silence
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=certificates()),
            timeout=patience,
            trust_env=True,
            auto_decompress=False,
            headers={"User-Agent": f"penjing/{penjing.__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(
        self,
        question: Question | Callable[[], Question],
        handle: Callable[[Reply], Awaitable[T]],
        *,
        resumes: bool = False,
    ) -> T:
        """What `handle` makes of the reply. It is called again, on a new reply, where the network failed within it;
        with `resumes` an attempt that moved bytes does not count (the question must then ask for the rest only).

        Raises NetworkError; statuses that no waiting can change are left to `handle`."""
        failures = 0
        most = self.patience.attempts
        while True:
            asked = question() if callable(question) else question
            reply: Reply | None = None
            try:
                reply = await self._ask(asked)
                self._online = True
                if reply.status not in AGAIN:
                    return await handle(reply)
                fault, wait = self._refused(reply, failures + 1)
            except transient() as error:
                fault, wait = _unreachable(asked.url, error), None
                most = self._attempts(error)
            finally:
                if reply is not None:
                    reply.close()
            failures = 1 if resumes and reply is not None and reply.received else failures + 1
            if failures >= most or (wait is not None and wait > self.patience.longest):
                raise fault
            await self._pause(asked.url, self.patience.pause(failures) if wait is None else wait)

    def _attempts(self, error: BaseException) -> int:
        """How often to try after this failure."""
        import aiohttp

        offline = isinstance(error, aiohttp.ClientConnectorDNSError) and not self._online
        return min(self.patience.attempts, NAMELESS) if offline else self.patience.attempts

    async def json(self, url: str, secrets: Mapping[str, str]) -> tuple[Reply, Any]:
        """The reply and its JSON; None for JSON where the status is not 200. Raises ForeignAnswer."""
        import msgspec

        async def handle(reply: Reply) -> tuple[Reply, Any]:
            content = await reply.read(LARGEST_PAGE)
            if reply.status != 200:
                return reply, None
            try:
                return reply, msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ForeignAnswer(url=shown(url), detail=str(error)) from error

        return await self.fetch(Question(url, secrets), handle)

    async def _ask(self, question: Question) -> Reply:
        """Follow redirects by hand, so that secrets stay with the host they were meant for."""
        assert self._session is not None, "the client is used within its block"
        url = question.url
        hops: list[Mapping[str, str]] = []
        for _ in range(MOST_REDIRECTS):
            headers = question.headers()
            if same_place(question.url, url):
                headers.update(question.secrets)
            response = await self._session.request(
                question.method, url, headers=headers, data=question.body, allow_redirects=False
            )
            if response.status not in MOVED or "Location" not in response.headers:
                return Reply(response, url, tuple(hops))
            hops.append(response.headers)
            response.release()
            url = _next(url, response.headers["Location"])
        raise ForeignAnswer(url=shown(question.url), detail=f"more than {MOST_REDIRECTS} redirects")

    def _refused(self, reply: Reply, attempts: int) -> tuple[NetworkError, float | None]:
        wait = asked_to_wait(reply.headers)
        host = host_of(reply.url)
        if reply.status == 429:
            seconds = round(wait) if wait is not None else "?"
            fault: NetworkError = TooManyRequests(host=host, status=429, attempts=attempts, seconds=seconds)
            return fault, wait
        return SourceFailed(host=host, status=reply.status, attempts=attempts), wait

    async def _pause(self, url: str, seconds: float) -> None:
        if self._waiting is not None:
            self._waiting(host_of(url), seconds)
        await asyncio.sleep(seconds + random.random() * self.patience.jitter)


def transient() -> tuple[type[BaseException], ...]:
    """What the network does when it fails; a function, since aiohttp is imported late."""
    import aiohttp

    return (aiohttp.ClientError, asyncio.TimeoutError, OSError)


def _unreachable(url: str, error: BaseException) -> NetworkError:
    """The typed error; what no second attempt can change is raised at once."""
    import aiohttp

    host = host_of(url)
    if isinstance(error, aiohttp.InvalidURL):
        raise ForeignAnswer(url=shown(url), detail="it leads to an address that is none") from error
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        raise CertificateRefused(host=host, detail=str(error.os_error)) from error
    if isinstance(error, aiohttp.ClientHttpProxyError):
        raise SourceUnreachable(host=host, detail=f"the proxy answers HTTP {error.status} {error.message}") from error
    fault = SourceUnreachable(host=host, detail=str(error) or type(error).__name__)
    fault.__cause__ = error
    return fault


def _next(url: str, location: str) -> str:
    found = urljoin(url, location)
    if not found.startswith(("http://", "https://")):
        raise ForeignAnswer(url=shown(url), detail=f"it leads to {shown(found)}")
    if url.startswith("https://") and found.startswith("http://"):
        raise ForeignAnswer(url=shown(url), detail=f"it leads to {shown(found)}, which is not encrypted")
    return found


def same_place(url: str, other: str) -> bool:
    """Whether what is meant for one may be sent to the other: same host and port, or the same host encrypted."""
    one, two = urlsplit(url), urlsplit(other)
    if one.hostname != two.hostname:
        return False
    upgraded = one.scheme == "http" and two.scheme == "https" and not one.port and not two.port
    return upgraded or (one.scheme, one.port) == (two.scheme, two.port)


def host_of(url: str) -> str:
    """The host and port, for people."""
    return urlsplit(url).netloc.rpartition("@")[2]


def shown(url: str) -> str:
    """`url` without what may be secret: its query (signatures) and user name."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}{parts.path}" if parts.netloc else url.partition("?")[0]


def certificates() -> ssl.SSLContext:
    """The system's authorities, or those that SSL_CERT_FILE or REQUESTS_CA_BUNDLE names. Raises NetworkError."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", "")
    if os.environ.get("SSL_CERT_FILE") or not bundle:
        return ssl.create_default_context()  # reads SSL_CERT_FILE itself
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise NetworkError(detail=f"REQUESTS_CA_BUNDLE={bundle}: {error.strerror or error}") from error
