"""One line of the log: a JSON object whose hash covers it and the line before it.

    {"n": 2, "at": "...", "what": "answer", ..., "before": HASH OF LINE 1, "hash": HASH OF ALL THAT STANDS BEFORE IT}

The hash is SHA-256, or HMAC-SHA256 (RFC 2104) where there is a secret: without the secret, whoever may write the files
could write a whole new chain; with it, not even that.

Does not know: files, what is recorded.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec

FIRST = "0" * 64
"""What stands before the first line."""
TAIL = len(b',"hash":"') + 64 + len(b'"}')
_DECODER = msgspec.json.Decoder(dict[str, Any])


class Torn(ValueError):
    """A line that is none: cut off, or not JSON."""


class Chain:
    """Where a chain has got to: the number and the hash of its last line."""

    def __init__(self, secret: bytes = b"", number: int = 0, before: str = FIRST) -> None:
        self._secret = secret
        self.number = number
        self.before = before

    def line(self, record: dict[str, object]) -> bytes:
        """`record` as the next line."""
        said = {"n": self.number + 1, **record, "before": self.before}
        body = msgspec.json.encode(said)[:-1]
        digest = self.digest(body)
        self.number, self.before = self.number + 1, digest
        return b'%b,"hash":"%b"}\n' % (body, digest.encode())

    def digest(self, body: bytes) -> str:
        """The hash of a line without its end."""
        if self._secret:
            return hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        return hashlib.sha256(body).hexdigest()

    def fault(self, line: bytes) -> str:
        """What is wrong with `line` as the next one, "" where nothing is; the chain then goes on behind it. Raises
        Torn for what is no line."""
        said = decoded(line)
        whole = line.rstrip(b"\n")
        if not hmac.compare_digest(self.digest(whole[:-TAIL]), str(said.get("hash", ""))):
            fault = "changed"
        elif said.get("n") != self.number + 1:
            fault = f"number {said.get('n')} where {self.number + 1} is expected"
        elif self.before and said.get("before") != self.before:
            fault = "it does not follow the line before it"
        else:
            fault = ""
        # Whatever is wrong here is told once: what follows is judged by what this line says of itself.
        number = said.get("n")
        self.number = number if isinstance(number, int) else self.number + 1
        self.before = str(said.get("hash", ""))
        return fault

    def skip(self) -> None:
        """Go on behind a line of which nothing is known."""
        self.number, self.before = self.number + 1, ""


def decoded(line: bytes) -> dict[str, Any]:
    """A line's record. Raises Torn."""
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Torn(str(error)) from None
