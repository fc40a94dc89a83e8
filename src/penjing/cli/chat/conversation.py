"""What was said so far, and how it is kept: JSON whose `messages` any program that speaks OpenAI's dialect can take.

Does not know: engines, screens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from penjing.errors import InputError
from penjing.files import expanded, home, write_whole
from penjing.messages import Message, Role, Text

FOLDER = "chats"
LAST = "last"


class ConversationUnreadable(InputError):
    """A saved conversation that is not one. Facts: `path`, `detail`."""

    template = "{path} is not a saved conversation: {detail}"
    hint = "/save writes one; its 'messages' are those of OpenAI's API."
    code = "conversation_unreadable"


class _Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    role: Role
    content: str
    reasoning: str = ""


class _Saved(msgspec.Struct, frozen=True):
    messages: tuple[_Turn, ...]
    model: str = ""
    saved: str = ""


@dataclass
class Conversation:
    """The messages in their order; a system message, where there is one, comes first."""

    messages: list[Message] = field(default_factory=list)

    @property
    def system(self) -> str:
        """The system message, or nothing."""
        return self.messages[0].text if self.messages and self.messages[0].role == "system" else ""

    @system.setter
    def system(self, text: str) -> None:
        if self.system:
            del self.messages[0]
        if text:
            self.messages.insert(0, said("system", text))

    def add(self, role: Role, text: str, reasoning: str = "") -> None:
        """Append one turn."""
        self.messages.append(said(role, text, reasoning))

    def clear(self) -> None:
        """Forget all but the system message."""
        self.messages = self.messages[:1] if self.system else []

    def drop_answer(self) -> bool:
        """Forget the answers after the last question; False where there is no question to answer again."""
        while self.messages and self.messages[-1].role == "assistant":
            self.messages.pop()
        return bool(self.messages) and self.messages[-1].role == "user"

    def take_back(self) -> str:
        """Remove the last question and its answer, and return the question; nothing where there is none."""
        if not self.drop_answer():
            return ""
        return self.messages.pop().text

    def wire(self) -> list[dict[str, str]]:
        """The messages in OpenAI's dialect. Questions in a row (the first was stopped before its answer began) are
        asked as one: the templates of Gemma, Mistral and others insist on turns."""
        turns: list[dict[str, str]] = []
        for message in self.messages:
            if turns and turns[-1]["role"] == message.role == "user":
                turns[-1]["content"] += f"\n\n{message.text}"
            else:
                turns.append({"role": message.role, "content": message.text})
        return turns


def said(role: Role, text: str, reasoning: str = "") -> Message:
    """One turn."""
    return Message(role=role, parts=(Text(text),), reasoning=reasoning)


def path_of(name: str) -> Path:
    """Where a conversation called `name` is kept; a name with a folder or a suffix is a path itself. Raises
    NoSuchUser."""
    path = expanded(name)
    return path if path.suffix or "/" in name else home() / FOLDER / f"{name}.json"


def names() -> list[str]:
    """The conversations kept at home, by name."""
    return sorted(path.stem for path in (home() / FOLDER).glob("*.json"))


def save(conversation: Conversation, path: Path, model: str) -> Path:
    """Write it whole or not at all. Raises DiskFull, InputError where the path cannot be written."""
    turns = tuple(_Turn(message.role, message.text, message.reasoning) for message in conversation.messages)
    saved = _Saved(turns, model, datetime.now(timezone.utc).isoformat(timespec="seconds"))
    try:
        return write_whole(path, msgspec.json.format(msgspec.json.encode(saved), indent=2) + b"\n")
    except OSError as error:
        raise InputError(detail=f"{path}: {error.strerror}") from error


def load(path: Path) -> tuple[Conversation, str]:
    """The conversation in `path` and the model it was held with. Raises ConversationUnreadable."""
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=_Saved)
    except (OSError, msgspec.DecodeError) as error:
        detail = error.strerror or "" if isinstance(error, OSError) else str(error)
        raise ConversationUnreadable(path=str(path), detail=detail) from error
    return Conversation([said(turn.role, turn.content, turn.reasoning) for turn in saved.messages]), saved.model
