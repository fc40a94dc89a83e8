"""Bytes as HTTP wants them sent: validators, ranges, how long caches may keep them.

What is named by its SHA-256 never changes: `immutable` for a year, so that any CDN or proxy may stand in front. What
may change is to be asked for again, which costs a 304.

After RFC 9110 (13: conditions, 14: ranges; one range is answered, several as if none was asked) and RFC 8246.

Does not know: where the bytes come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from starlette.responses import Response, StreamingResponse

FOREVER = "public, max-age=31536000, immutable"
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
Read = Callable[[int, int], Iterator[bytes]]
"""From a byte to before another."""


def fixed(name: str, size: int, read: Read, asked: Mapping[str, str], *, private: bool) -> Response:
    """The answer for `size` bytes that are known by `name` for ever."""
    tag = f'"{name}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes"}
    headers["Cache-Control"] = FOREVER.replace("public", "private") if private else FOREVER
    if matches(asked.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    wanted = asked.get("range", "")
    if asked.get("if-range", tag) != tag:
        wanted = ""
    span = spans(wanted, size)
    if span is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    start, stop = span
    status = 206 if RANGE.fullmatch(wanted) else 200
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    return StreamingResponse(
        read(start, stop), status_code=status, headers=headers, media_type="application/octet-stream"
    )


def changing(content: bytes, sha256: str, asked: Mapping[str, str], kind: str = "application/json") -> Response:
    """The answer for a small page that may be another one tomorrow."""
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "no-cache"}
    if matches(asked.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=kind)


def matches(said: str, tag: str) -> bool:
    """Whether `If-None-Match` names the tag; weakly, as RFC 9110 13.1.2 has it."""
    return said.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in said.split(","))


def spans(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; all where there is no range that is understood. None where it cannot be
    given.

    >>> spans("bytes=2-4", 10), spans("bytes=-3", 10), spans("bytes=8-99", 10), spans("bytes=10-", 10), spans("x", 10)
    ((2, 5), (7, 10), (8, 10), None, (0, 10))
    """
    found = RANGE.fullmatch(header.strip())
    if found is None or (not found[1] and not found[2]):
        return 0, size
    if not found[1]:
        length = int(found[2])
        return (max(size - length, 0), size) if length and size else None
    start, stop = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < start:
        return 0, size
    return (start, stop) if start < size else None
