"""A text: documents that are prose or conversations, with a name and a digest for manifests.

Does not know: tokens, where a text comes from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One message of a conversation: `role` is `system`, `user`, `assistant` or `tool`."""

    role: str
    content: str


@dataclass(frozen=True)
class Document:
    """Prose, or the turns of a conversation, which the model's chat template is put around. `language` is `en`, `zh`
    or "" where nobody said."""

    prose: str = ""
    turns: tuple[Turn, ...] = ()
    language: str = ""

    @property
    def plain(self) -> str:
        """All that is said, without any template."""
        return self.prose or "\n".join(turn.content for turn in self.turns)


@dataclass(frozen=True)
class Text:
    """Documents under one name."""

    name: str
    documents: tuple[Document, ...]

    @property
    def digest(self) -> str:
        """SHA-256 in hex of what the documents say, in their order."""
        sha = hashlib.sha256()
        for each in self.documents:
            said = [each.prose, [[turn.role, turn.content] for turn in each.turns]]
            sha.update(json.dumps(said, ensure_ascii=False).encode(errors="surrogatepass") + b"\n")
        return sha.hexdigest()

    @property
    def characters(self) -> int:
        """How many there are."""
        return sum(len(each.plain) for each in self.documents)
