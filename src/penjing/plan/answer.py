"""The plan's answer: does a model fit a place, in which quantization, with how long a context, how fast.

The recommended quantization is the one of the best quality that fits, but of those that change answers little the
largest that is comfortably fast: nobody sees the difference between them, everybody the speed. More memory therefore
never leads to worse quality.

Does not know: where the facts come from, money, languages (a door words the reason).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penjing.plan import quality, speed
from penjing.plan.memory import Need, Terms, largest_context, need
from penjing.plan.place import Place
from penjing.plan.quality import Quality
from penjing.plan.speed import Load, Speed
from penjing.plan.weights import repacking
from penjing.probe.facts import Model

ENOUGH, LEAST = 4096, 2048
"""Tokens of context that are wished for, and that there must be, where nobody says."""
UNTRAINED = 4096
"""Tokens of context of a model whose header does not say what it was trained for."""
PROMPT = 512
"""Tokens of the prompt that speeds are told for."""
LITTLE = 0.08
"""Nats of divergence up to which a quantization changes answers little: the 4-bit types, after the published table."""
INVISIBLE = 0.002
"""Nats below which more bits are no better: Q8_0."""
COMFORTABLE = 10.0
"""Tokens a second, about twice as fast as people read."""
NEARLY = 0.88
"""This share of the best speed is nearly as fast."""
Origin = Literal["here", "published", "convert", "computed"]
Verdict = Literal["fits", "shorter", "no"]
Reason = Literal["asked", "only", "best", "fast", "fastest", "largest", "tight"]


@dataclass(frozen=True)
class Wish:
    """`context` in tokens for each of `slots` conversations at once (None: up to 4096, but at least 2048, or what the
    model was trained for where that is less). `quantization` is a label, empty where the best is looked for; `kv_type`
    is the cache's."""

    context: int | None = None
    slots: int = 1
    quantization: str = ""
    kv_type: str = "f16"


@dataclass(frozen=True)
class Candidate:
    """One quantization. `model` as it would be in it. `origin`: the file is `here`, `published` at the model's source,
    what penjing would `convert` to, or only `computed` (somebody else may have it)."""

    label: str
    model: Model
    origin: Origin


@dataclass(frozen=True)
class Row:
    """A candidate at its place. `need` is for `context` tokens: the wanted ones where they fit, else the `longest` that
    fit beside the weights; where none do (0), the fewest that there must be."""

    candidate: Candidate
    verdict: Verdict
    context: int
    slots: int
    longest: int
    need: Need
    speed: Speed
    quality: Quality

    @property
    def label(self) -> str:
        return self.candidate.label

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return self.candidate.model.bytes

    @property
    def obtainable(self) -> bool:
        """Whether this machine can get at it."""
        return self.candidate.origin != "computed"


@dataclass(frozen=True)
class Answer:
    """`rows` from the smallest to the largest. `chosen` is the recommended one, or the one that was asked for; None
    where it does not fit. `nearest` is what fits instead, None where nothing does. `reason` is why one of these two.
    `wanted` in tokens for each of `wish.slots`."""

    place: Place
    wish: Wish
    wanted: int
    rows: tuple[Row, ...]
    chosen: Row | None
    reason: Reason
    nearest: Row | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether what was asked for fits."""
        if self.chosen is None:
            return "no"
        beyond = self.wish.context is not None and self.wish.context > self.chosen.longest
        return "shorter" if beyond else self.chosen.verdict

    @property
    def smallest(self) -> Row:
        """The row that needs the least."""
        return self.rows[0]


def recommend(candidates: Sequence[Candidate], place: Place, wish: Wish = Wish()) -> Answer:
    """The answer for quantizations of one model (at least one). Where `wish.quantization` is among them it is chosen if
    it fits at all."""
    trained = candidates[0].model.context or UNTRAINED
    wanted = wish.context or min(ENOUGH, trained)
    least = min(wish.context or LEAST, trained)
    judged = (judge(each, place, wish, wanted, least) for each in candidates)
    rows = tuple(sorted(judged, key=lambda row: row.bytes))
    asked = [row for row in rows if same(row.label, wish.quantization)]
    if asked and asked[0].verdict != "no":
        return Answer(place, wish, wanted, rows, asked[0], "asked")
    chosen, reason = best(rows)
    if asked:
        return Answer(place, wish, wanted, rows, None, reason, nearest=chosen)
    return Answer(place, wish, wanted, rows, chosen, reason)


def judge(candidate: Candidate, place: Place, wish: Wish, wanted: int, least: int) -> Row:
    """One candidate at one place."""
    model = candidate.model
    terms = Terms(kv_type=wish.kv_type, repacks=repacking(place.machine))
    trained = model.context or UNTRAINED
    most = largest_context(model, place.budget, wish.slots, terms, most=trained)
    if not most and need(model, least, wish.slots, terms).total <= place.budget:
        most = least  # somebody wished for less than a step of the cache for each conversation
    verdict: Verdict = "fits" if most >= least else "shorter" if most else "no"
    context = min(most, wanted) if most else least
    load = Load(PROMPT, context_tokens=min(PROMPT, context), together=wish.slots, kv_type=wish.kv_type)
    return Row(
        candidate=candidate,
        verdict=verdict,
        context=context,
        slots=wish.slots,
        longest=most,
        need=need(model, context, wish.slots, terms),
        speed=speed.predict(model, place.calibration, load),
        quality=quality.of(candidate.label, model.bits_per_weight),
    )


def best(rows: Sequence[Row]) -> tuple[Row | None, Reason]:
    """The recommended one of `rows` (the smallest first) and why. Which rows it may be depends on the budget in nothing
    but what fits, so that more memory never leads to worse quality."""
    open_ = [row for row in rows if row.obtainable] or list(rows)
    fitting = [row for row in open_ if row.verdict == "fits"]
    if not fitting:
        shorter = [row for row in open_ if row.verdict == "shorter"]
        return (shorter[0], "tight") if shorter else (None, "tight")
    if len(open_) == 1:
        return fitting[0], "only"
    limit = fast_enough(open_)
    among = [row for row in fitting if row.quality.kl <= LITTLE and row.bytes <= limit]
    if not among:
        return min(fitting, key=rank), "largest"
    chosen = min(among, key=rank)
    better = [row for row in fitting if rank(row) < rank(chosen)]
    if not better:
        bigger = [row for row in open_ if row.verdict != "fits" and rank(row) < rank(chosen)]
        return chosen, "largest" if bigger else "best"
    return chosen, "fast" if decode(chosen) >= COMFORTABLE else "fastest"


def fast_enough(rows: Sequence[Row]) -> int:
    """Bytes of the largest row of little loss that is comfortably fast, or nearly as fast as any of them is."""
    good = [row for row in rows if row.quality.kl <= LITTLE]
    enough = min(COMFORTABLE, NEARLY * max(map(decode, good), default=0.0))
    return max((row.bytes for row in good if decode(row) >= enough), default=0)


def rank(row: Row) -> tuple[float, int]:
    """Best first: the least divergence, and among those that nobody can tell apart the smallest."""
    return max(row.quality.kl, INVISIBLE), row.bytes


def decode(row: Row) -> float:
    """Tokens a second of one answer."""
    return row.speed.decode_tokens_per_s.likely / row.slots


def longest(answer: Answer, row: Row, kv_type: str) -> int:
    """The longest context of a row, in tokens, if the cache had another number type."""
    model = row.candidate.model
    terms = Terms(kv_type=kv_type, repacks=repacking(answer.place.machine))
    return largest_context(model, answer.place.budget, row.slots, terms, most=model.context or UNTRAINED)


def same(label: str, wanted: str) -> bool:
    """Whether `wanted` names this quantization."""
    return bool(wanted) and label.upper() in (wanted.upper(), f"UD-{wanted.upper()}")
