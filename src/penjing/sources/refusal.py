"""What a source means by a status that is no answer.

Hugging Face says it in `X-Error-Code` (huggingface_hub, utils/_http.py); other sources only by the number.

Does not know: how to make a refused request work.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from penjing.errors import PenjingError
from penjing.sources.client import host_of, shown
from penjing.sources.faults import (
    ForeignAnswer,
    Gated,
    LoginNeeded,
    NoSuchRemoteFile,
    NoSuchRepository,
    NoSuchRevision,
)
from penjing.sources.reply import Reply

SENT = "Your account (or its token) has not been given access."
NOT_SENT = "No token is set here."
BETWEEN = ("/resolve/", "/raw/", "/repo")
"""What follows the repository in the address of a file."""


def refusal(reply: Reply, asked: str, signed_in: bool, *, place: str = "", revision: str = "") -> PenjingError:
    """The typed error for `reply` to a request for the URL `asked`. `place` is the repository (else it is read from the
    address), `revision` the one that was asked for."""
    address = urlsplit(asked)
    path = unquote(address.path)
    middle = next((step for step in BETWEEN if step in path), "")
    before, _, after = path.partition(middle) if middle else (path, "", "")
    place = place or before.strip("/").removeprefix("api/v1/models/") or shown(asked)
    host = host_of(asked)
    code = reply.header("X-Error-Code")
    if code == "GatedRepo" or (reply.status == 403 and "gated" in reply.header("X-Error-Message").lower()):
        page = f"{address.scheme}://{host}/{place}"
        return Gated(host=host, place=place, page=page, word=SENT if signed_in else NOT_SENT)
    if code == "RevisionNotFound":
        return NoSuchRevision(model=place, host=host, place=place, revision=revision or after.partition("/")[0])
    if code == "EntryNotFound":
        return NoSuchRemoteFile(place=place, path=after.partition("/")[2], revision=revision or after.partition("/")[0])
    if reply.status in (401, 403) and not signed_in:
        return LoginNeeded(host=host, place=place)
    if reply.status in (401, 403, 404, 410):
        return NoSuchRepository(model=place, host=host, place=place)
    return ForeignAnswer(url=shown(asked), detail=f"HTTP {reply.status}")
