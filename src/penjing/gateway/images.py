"""Where pictures may be fetched from: nowhere, unless the host is named by whoever runs the server.

An engine that is given an address fetches it from inside the house, where it may read what the client cannot (a
forgery of requests, SSRF). A picture that a client sends as data needs no fetching.

Does not know: engines.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from penjing.errors import InputError
from penjing.gateway.dialects.openai import wire

ALL = "*"


class ImageHostRefused(InputError):
    """Facts: `host`."""

    template = "Pictures are not fetched from '{host}'."
    hint = "Send the picture as data (data:image/png;base64,...), or name the host: [serve] image_hosts."
    code = "image_host_not_allowed"


def require_allowed(body: wire.AnyBody, hosts: tuple[str, ...]) -> None:
    """Raises ImageHostRefused for a picture that is neither data nor at one of `hosts` (`*` for all)."""
    if not isinstance(body, wire.ChatBody):
        return
    for place, url in _addresses(body):
        if not _allowed(url, hosts):
            raise ImageHostRefused(host=_host(url)[:64], param=place)


def _addresses(body: wire.ChatBody) -> Iterator[tuple[str, str]]:
    for number, message in enumerate(body.messages):
        if isinstance(message.content, list):
            for index, part in enumerate(message.content):
                if isinstance(part, wire.ImagePart) and not part.image_url.url.startswith("data:"):
                    yield f"messages[{number}].content[{index}]", part.image_url.url


def _allowed(url: str, hosts: tuple[str, ...]) -> bool:
    """Only plain web addresses: no user names, no other schemes, which engines may take as files of theirs."""
    try:
        place = urlsplit(url)
    except ValueError:
        return False
    if place.scheme not in ("http", "https") or not place.hostname or "@" in place.netloc or "\\" in url:
        return False
    return ALL in hosts or place.hostname in hosts


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url
