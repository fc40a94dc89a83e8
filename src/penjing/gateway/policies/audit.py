"""Who asked which model what, when, with which outcome: one record for each request, written where it cannot be changed
without being seen (`gateway/audit`).

The outermost policy: what others refuse is recorded too. What leaves for an engine elsewhere is recorded before it
does. Content is kept as configured: not at all, as a hash, redacted, or whole.

Does not know: how records are kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from penjing.errors import MachineError, PenjingError
from penjing.files import home
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.audit.files import SERVERS, place
from penjing.gateway.audit.log import AuditInUse, Log, Rotation, Sync, now
from penjing.gateway.audit.redact import redacted
from penjing.gateway.house import House
from penjing.gateway.metrics import Counter
from penjing.gateway.policies.policy import Step
from penjing.messages import Event

Content = Literal["none", "hash", "redacted", "full"]
SECRET = "PENJING_AUDIT_SECRET"
"""The variable that holds the secret of the chain: not a setting, since files that may be read are no place for it."""
LARGEST = 1 << 20
"""Bytes of a question and of an answer that a record holds; of longer ones the beginning, and their length."""


class AuditUnavailable(MachineError):
    """Facts: `detail`."""

    template = "The audit log cannot be written ({detail}), and without it nothing is answered."
    hint = "Make room on its disk; the server goes on by itself. [audit] when_full = 'continue' answers without it."
    code = "audit_unavailable"
    status = 503


@dataclass(frozen=True)
class AuditOptions:
    """`enabled`: where not said, as soon as an engine is not on hardware of the house. `content`: what is kept of
    questions and answers. `sync`: when records reach the disk for certain: `always` before the next, `second` once a
    second, `never` when the system sees fit. `when_full`: `refuse` requests while the log cannot be written, or
    `continue` without it. `keep`: how many files stay; 0 for all."""

    enabled: bool | None = None
    folder: Path | None = None
    content: Content = "none"
    sync: Sync = "second"
    when_full: Literal["refuse", "continue"] = "refuse"
    most_bytes: Annotated[int, Meta(ge=1024)] = 64 << 20
    most_seconds: Annotated[float, Meta(gt=0)] = 86400.0
    keep: Annotated[int, Meta(ge=0)] = 0


class Audit:
    """The policy."""

    def __init__(self, options: AuditOptions, house: House) -> None:
        self._content = options.content
        self._refuses = options.when_full == "refuse"
        self._house = house
        self._asking: ContextVar[Ask | None] = ContextVar("asking", default=None)
        self.log = opened(options)
        self._records = Counter(
            "penjing_audit_records_total", "Records written, or lost where the disk took none.", ("how",)
        )
        self._lost = 0
        house.observed.add(self._records)
        house.leaving.append(self._leaves)
        house.record = self.log.add

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        if self.log.failing and self._refuses:
            raise AuditUnavailable(detail=self.log.failing)
        seen: list[bytes] = []
        if self._content != "none":
            ask.taps.append(_Held(seen))
        ask.at_end(partial(self._ended, ask, now(), seen))
        self._asking.set(ask)
        return await call_next(ask)

    async def _leaves(self, engine: str, path: str, body: bytes) -> None:
        """Before a question leaves. Raises AuditUnavailable where that cannot be recorded and must be."""
        ask = self._asking.get()
        who = ask.key.name if ask is not None else ""
        record: dict[str, object] = {"at": now(), "what": "leaves", "key": who, "engine": engine, "path": path}
        record |= {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        try:
            await self.log.written(lambda: record)
        except OSError as error:
            self._count()
            if self._refuses:
                raise AuditUnavailable(detail=error.strerror or str(error)) from error
        else:
            self._records.add("written")

    def _ended(self, ask: Ask, at: str, seen: list[bytes], outcome: Outcome) -> None:
        self.log.add(partial(self._record, ask, at, seen, outcome))
        self._count()

    def _count(self) -> None:
        lost = self.log.lost - self._lost
        self._lost += lost
        if lost:
            self._records.add("lost", by=lost)
        self._records.add("written")

    def _record(self, ask: Ask, at: str, seen: list[bytes], outcome: Outcome) -> dict[str, object]:
        engine = self._house.engines.get(outcome.model)
        usage = outcome.usage
        record: dict[str, object] = {
            "at": at,
            "what": "answer",
            "key": ask.key.name,
            "peer": ask.incoming.peer,
            "dialect": ask.endpoint.dialect,
            "path": ask.incoming.path,
            "model": ask.model if ask.parsed else "",
            "engine": outcome.model,
            "local": engine.local if engine is not None else None,
            "status": outcome.status,
            "code": outcome.code,
            "prompt_tokens": usage.prompt_tokens if usage else 0,
            "completion_tokens": usage.completion_tokens if usage else 0,
            "seconds": round(outcome.seconds, 4),
            "cached": outcome.cached,
            "notes": {name.removeprefix("x-penjing-"): value for name, value in ask.notes.items() if "penjing" in name},
        }
        if self._content != "none":
            record["question"] = self._kept(_question(ask))
            record["answer"] = self._kept(b"".join(seen))
        return record

    def _kept(self, content: bytes) -> object:
        if self._content == "hash":
            return hashlib.sha256(content).hexdigest()
        text = content[:LARGEST].decode("utf-8", "replace")
        said = redacted(text) if self._content == "redacted" else text
        return said if len(content) <= LARGEST else {"begins": said, "bytes": len(content)}

    def close(self) -> None:
        """Write what is left."""
        self.log.close()


def opened(options: AuditOptions) -> Log:
    """The log in the folder that was named, else in the first one that no other server writes. Raises AuditInUse,
    AuditUnavailable."""
    secret = os.environ.get(SECRET, "").encode()
    rotation = Rotation(options.most_bytes, options.most_seconds, options.keep)
    try:
        if options.folder is not None:
            return Log(options.folder, secret, options.sync, rotation)
        for number in range(1, SERVERS):
            with suppress(AuditInUse):
                return Log(place(home(), number), secret, options.sync, rotation)
        return Log(place(home(), SERVERS), secret, options.sync, rotation)
    except PenjingError:
        raise
    except OSError as error:
        raise AuditUnavailable(detail=str(error)) from error


class _Held:
    """A tap that keeps what passes, up to a bound."""

    def __init__(self, seen: list[bytes]) -> None:
        self._seen = seen
        self._size = 0

    def __call__(self, data: bytes) -> None:
        if self._size <= LARGEST:
            self._seen.append(data)
            self._size += len(data)


def _question(ask: Ask) -> bytes:
    """What was asked, in the words of OpenAI's dialect; as it came, where it could not be read."""
    if not ask.parsed:
        return ask.incoming.body
    body = ask.wire
    said = getattr(body, "messages", None) or getattr(body, "prompt", None) or getattr(body, "input", None)
    return msgspec.json.encode(said)


def build(options: AuditOptions, house: House) -> Audit | None:
    """The policy, unless it is switched off. Raises AuditInUse, AuditUnavailable."""
    elsewhere = any(not engine.local for engine in house.engines.values())
    if options.enabled is False or (options.enabled is None and not elsewhere):
        return None
    return Audit(options, house)


STEP = Step("audit", AuditOptions, build)
