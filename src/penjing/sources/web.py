"""Any web server: one file by its address, and its other shards where its name says that it has some.

Does not know: what the file holds. A digest is known only where the server sends one (`X-Linked-ETag`, `Repr-Digest`
of RFC 9530) or the address carries one (`#sha256=HEX`).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from email.message import Message
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from penjing.sources.client import Client, Question, shown
from penjing.sources.faults import ForeignAnswer, NotAReference
from penjing.sources.names import Reference, safe
from penjing.sources.refusal import refusal
from penjing.sources.reply import Reply
from penjing.sources.source import Listing, RemoteFile
from penjing.sources.variants import SHARD

HEX64 = re.compile(r"[0-9a-fA-F]{64}")
DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")


class Web:
    """One address."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """Ask for the first byte, which tells the size; a server may refuse HEAD."""
        given = reference.pick.removeprefix("sha256=")
        addresses = _addresses(reference.place)
        if given and len(addresses) > 1:
            raise NotAReference(text=str(reference), detail="one SHA-256 cannot be that of several files")
        found = await asyncio.gather(*(_look(client, url) for url in addresses))
        files = tuple(RemoteFile(file.path, file.bytes, file.url, sha256=given or file.sha256) for file, _ in found)
        versions = [version for _, version in found]
        return Listing(reference, versions[0] if len(versions) == 1 else "", files, page=reference.place)


def _addresses(url: str) -> list[str]:
    """All shards of a split model, or the address itself."""
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    shard = SHARD.fullmatch(unquote(name))
    if not shard:
        return [url]
    total = int(shard["count"])
    if not 0 < total <= 10_000:
        raise NotAReference(text=url, detail="the number of shards in its name cannot be")
    names = [f"{shard['stem']}-{number:05}-of-{total:05}.{shard['kind']}" for number in range(1, total + 1)]
    return [urlunsplit(parts._replace(path=f"{folder}/{quote(name)}")) for name in names]


async def _look(client: Client, url: str) -> tuple[RemoteFile, str]:
    async def handle(reply: Reply) -> tuple[RemoteFile, str]:
        if reply.status not in (200, 206, 416):
            raise refusal(reply, url, signed_in=False)
        if reply.header("Content-Type").startswith("text/html"):
            raise ForeignAnswer(url=shown(url), detail="a web page")
        span = reply.span
        size = span[2] if span else reply.length
        linked = reply.header("X-Linked-Size")
        size = int(linked) if linked.isdecimal() else size
        return RemoteFile(_name(reply, url), size, url, sha256=_digest(reply)), reply.header("ETag").strip('"')

    return await client.fetch(Question(url, {}, span=(0, 1)), handle)


def _name(reply: Reply, url: str) -> str:
    """The file's name: as the server says it, else the address's last part."""
    header = Message()
    header["Content-Disposition"] = reply.header("Content-Disposition") or "inline"
    name = str(header.get_filename() or "") or unquote(urlsplit(url).path).rpartition("/")[2]
    if not name or not safe(name) or "/" in name or "\\" in name or name.startswith("."):
        raise NotAReference(text=url, detail="its last part is not a file's name")
    return name


def _digest(reply: Reply) -> str:
    linked = reply.header("X-Linked-ETag").removeprefix("W/").strip('"')
    if HEX64.fullmatch(linked):
        return linked.lower()
    found = DIGEST.search(reply.header("Repr-Digest"))
    try:
        return base64.b64decode(found[1], validate=True).hex() if found else ""
    except binascii.Error:  # a digest that is none says nothing
        return ""
