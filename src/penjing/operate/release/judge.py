"""Whether a canary is worse than the stable version, from answers as they come, within a bounded number of them.

    gate        one event, once a conversation            falls on the canary, were it no worse, with at most
    errors      the engine failed                         share*w / (share*w + 1 - share)
    refusals    the answer is a refusal                   the same
    thumbs      a person did not like an answer           the same
    ttft        the canary's first answer began later     1/2
    tokens      the canary's first answer was slower      1/2
    yardstick   of a question only one of them knows,     1/2
                it is the stable one

`w` is by how much the canary may be worse, as a factor. For `ttft` and `tokens` each conversation of the canary is
compared with the one of the stable version that came last before it and was in no pair yet, so that both met the same
load; this asks nothing of how times are distributed (a sign test).

Each gate is tested sequentially (`evidence`) at risk/6, so that a canary that is no worse on any is refused with a
probability of at most `risk` in all, however many conversations there are and however they come. A canary that no gate
refused within its number of conversations is promoted. What it may then still be worse by, unseen, is a matter of that
number: docs/en/release.md has a table.

Does not know: servers, versions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from penjing.gateway.arms import CANARY, STABLE, Sample, Thumb
from penjing.operate.release.evidence import evidence, of_share

SHARED = ("errors", "refusals", "thumbs")
PAIRED = ("ttft", "tokens", "yardstick")
GATES = (*SHARED, *PAIRED)
WORSE = {"errors": 1.0, "refusals": 1.25, "thumbs": 1.25, "ttft": 1.2, "tokens": 1.2, "yardstick": 1.0}
"""By how much a canary may be worse where nobody says; of the yardstick it is not used."""
REMEMBERED = 100_000
"""Conversations that are known again; beyond, the oldest are forgotten and would count once more."""
Verdict = Literal["undecided", "promote", "rollback"]


@dataclass
class Gate:
    """`hits` of `trials` events fell on the canary; were it no worse, each would with a probability of at most
    `null`."""

    name: str
    null: float
    hits: int = 0
    trials: int = 0

    def see(self, hit: bool) -> None:
        """One event."""
        self.hits += hit
        self.trials += 1

    @property
    def evidence(self) -> float:
        """How strongly it speaks against the canary; see `evidence`."""
        return evidence(self.hits, self.trials, self.null)

    def plain(self) -> dict[str, object]:
        """For programs."""
        return {
            "hits": self.hits,
            "trials": self.trials,
            "null": round(self.null, 4),
            "evidence": float(f"{self.evidence:.4g}"),
        }


@dataclass
class _Conversation:
    arm: str
    seen: set[str] = field(default_factory=set)


class Standing(Struct, frozen=True, omit_defaults=True):
    """All that a judge knows, to go on from: `gates` hold hits and trials, `known` the arm and what was counted of each
    conversation, by its lot; `asked` questions of the yardstick were put."""

    gates: dict[str, tuple[int, int]] = {}
    conversations: dict[str, int] = {}
    known: list[tuple[float, str, tuple[str, ...]]] = []
    asked: int = 0
    measured: bool = False


class Judge:
    """Of one canary. `share` (0 to 1, both excluded) of the conversations are its own; `conversations` of them bound
    the trial; `risk` and `worse` as above. Without a `yardstick` that gate stays empty, else nothing is promoted before
    `measured` was called."""

    def __init__(
        self,
        share: float,
        conversations: int,
        risk: float,
        worse: Mapping[str, float] | None = None,
        *,
        yardstick: bool = False,
    ) -> None:
        self._worse = {**WORSE, **(worse or {})}
        self.most = conversations
        self.risk = risk
        self._waiting = yardstick
        self.asked = 0
        self.gates = {name: Gate(name, of_share(share, self._worse[name])) for name in SHARED}
        self.gates |= {name: Gate(name, 0.5) for name in PAIRED}
        self.conversations = {CANARY: 0, STABLE: 0}
        self._known: OrderedDict[float, _Conversation] = OrderedDict()
        self._stable: dict[str, float] = {}

    def hear(self, heard: Sample | Thumb) -> None:
        """Take one answer, or what a person thought of one, into account."""
        conversation = self._conversation(heard)
        on_canary = heard.arm == CANARY
        if isinstance(heard, Thumb):
            if not heard.up:
                self._once(conversation, "thumbs", on_canary)
            return
        if heard.failed:
            self._once(conversation, "errors", on_canary)
        if heard.refused:
            self._once(conversation, "refusals", on_canary)
        if heard.ttft is not None and "ttft" not in conversation.seen:
            conversation.seen.add("ttft")
            self._pair("ttft", on_canary, heard.ttft)
        if heard.rate and "tokens" not in conversation.seen:
            conversation.seen.add("tokens")
            self._pair("tokens", on_canary, 1 / heard.rate)

    def answered(self, *, stable: bool, canary: bool) -> None:
        """One more question of the yardstick: whether each of them knew the answer."""
        self.asked += 1
        if stable != canary:
            self.gates["yardstick"].see(stable)

    def measured(self) -> None:
        """The yardstick has no more questions."""
        self._waiting = False

    @property
    def waits(self) -> bool:
        """Whether the yardstick has more questions."""
        return self._waiting

    @property
    def refusing(self) -> list[Gate]:
        """The gates that refuse the canary."""
        limit = len(GATES) / self.risk
        return [gate for gate in self.gates.values() if gate.evidence >= limit]

    @property
    def verdict(self) -> Verdict:
        """What is to be done now."""
        if self.refusing:
            return "rollback"
        whole = self.conversations[CANARY] >= self.most and not self._waiting
        return "promote" if whole else "undecided"

    def plain(self) -> dict[str, object]:
        """Everything for a record: conversations, gates, and the evidence at which a gate refuses."""
        return {
            "conversations": dict(self.conversations),
            "most": self.most,
            "asked": self.asked,
            "refuses_at": round(len(GATES) / self.risk, 1),
            "gates": {name: gate.plain() for name, gate in self.gates.items()},
        }

    def standing(self) -> Standing:
        """What `resume` goes on from."""
        known = [(lot, each.arm, tuple(sorted(each.seen))) for lot, each in self._known.items()]
        gates = {name: (gate.hits, gate.trials) for name, gate in self.gates.items()}
        return Standing(gates, dict(self.conversations), known, self.asked, not self._waiting)

    def resume(self, standing: Standing) -> None:
        """Go on where another judge of the same trial was. Evidence keeps its meaning over any pause."""
        for name, (hits, trials) in standing.gates.items():
            if name in self.gates:
                self.gates[name].hits, self.gates[name].trials = hits, trials
        self.conversations |= standing.conversations
        self._known = OrderedDict((lot, _Conversation(arm, set(seen))) for lot, arm, seen in standing.known)
        self.asked, self._waiting = standing.asked, self._waiting and not standing.measured

    def _conversation(self, heard: Sample | Thumb) -> _Conversation:
        known = self._known.get(heard.conversation)
        if known is None:
            known = self._known[heard.conversation] = _Conversation(heard.arm)
            self.conversations[heard.arm] += 1
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _once(self, conversation: _Conversation, name: str, on_canary: bool) -> None:
        if name not in conversation.seen:
            conversation.seen.add(name)
            self.gates[name].see(on_canary)

    def _pair(self, name: str, on_canary: bool, value: float) -> None:
        if not on_canary:
            self._stable[name] = value
            return
        other = self._stable.pop(name, None)
        if other is not None:
            self.gates[name].see(value > other * self._worse[name])
