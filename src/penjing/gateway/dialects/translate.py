"""From OpenAI's answers to a client's dialect: what all writers but OpenAI's own have in common.

Does not know: any dialect's words; subclasses do.
"""

from __future__ import annotations

from penjing.errors import PenjingError
from penjing.gateway.dialects.openai import events
from penjing.gateway.sse import DONE, FIELD
from penjing.messages import Completion, Delta, Finish, Usage


class Translator:
    """A `Writer` that is shown internal events, one after the other."""

    content_type = b"text/event-stream"

    def event(self, event: Delta | Finish | Usage) -> bytes:
        """What the client should get for it; may be empty."""
        raise NotImplementedError

    def completion(self, completion: Completion) -> bytes:
        """The body of a whole answer."""
        raise NotImplementedError

    def end(self) -> bytes:
        """The last bytes of a stream."""
        return b""

    def failed(self, error: PenjingError) -> bytes:
        """The last bytes of a stream that cannot go on."""
        raise NotImplementedError

    def write(self, data: bytes) -> bytes:
        """Whole events in, the client's bytes out. Raises EngineError on an event that is broken or says an error."""
        pieces = []
        for line in data.split(b"\n"):
            if line.startswith(FIELD):
                payload = line[len(FIELD) :].strip()
                if payload != DONE:
                    pieces += [self.event(event) for event in events.decoded(payload)]
        return b"".join(pieces)

    def whole(self, body: bytes) -> bytes:
        """A whole answer. Raises EngineError on one that is broken."""
        return self.completion(events.completion(body))
