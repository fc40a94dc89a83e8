"""Where the hub keeps chunks: a folder, or storage that speaks S3 (and what else `obstore` knows: gs://, az://).

A chunk is at most 16 MiB, so that it is read and written as one.

Does not know: whether the bytes are right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from penjing.errors import DiskFull
from penjing.files import NO_ROOM, expanded, human, require_room, write_whole
from penjing.fleet.faults import BadBlobs, ExtraMissing

SPARE = 64 << 20
"""Bytes that stay free on the hub's disk, for its database."""


class Blobs(Protocol):
    """`name` is 64 hex digits."""

    def put(self, name: str, content: bytes) -> None:
        """Keep it. Raises DiskFull, BadBlobs."""

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Its bytes from `start` to before `stop`. Raises FileNotFoundError, BadBlobs."""


def place(text: str) -> Blobs:
    """A folder's path, or a URL. Raises BadBlobs, ExtraMissing."""
    return Objects(text) if "://" in text else Disk(expanded(text))


class Disk:
    """A folder on this machine: `ab/abcdef...`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """See `Blobs`."""
        require_room(self._folder, len(content) + SPARE)
        try:
            write_whole(self._folder / name[:2] / name, content)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise BadBlobs(value=str(self._folder), detail=error.strerror or str(error)) from error
            raise DiskFull(path=str(self._folder), needed=human(len(content)), free="0 B") from error

    def read(self, name: str, start: int, stop: int) -> bytes:
        """See `Blobs`."""
        with (self._folder / name[:2] / name).open("rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)


class Objects:
    """A bucket, by its URL: `s3://BUCKET/PREFIX`. Keys and endpoint come from the usual variables (AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL; AWS_ALLOW_HTTP=true for one without TLS)."""

    def __init__(self, url: str) -> None:
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            raise ExtraMissing(detail=error.name) from error
        self._url, self._api = url, obstore
        self._failed: Any = obstore.exceptions.BaseError
        try:
            self._store = from_url(url)
        except (self._failed, ValueError) as error:
            raise BadBlobs(value=url, detail=str(error).partition("\n")[0]) from error

    def put(self, name: str, content: bytes) -> None:
        """See `Blobs`."""
        try:
            self._api.put(self._store, f"{name[:2]}/{name}", content)
        except (self._failed, FileNotFoundError) as error:  # the latter: no such bucket
            raise BadBlobs(value=self._url, detail=str(error).partition("\n")[0]) from error

    def read(self, name: str, start: int, stop: int) -> bytes:
        """See `Blobs`."""
        try:
            return bytes(self._api.get_range(self._store, f"{name[:2]}/{name}", start=start, end=stop))
        except FileNotFoundError:
            raise
        except self._failed as error:
            raise BadBlobs(value=self._url, detail=str(error).partition("\n")[0]) from error
