"""What is said of the parts of a profile, in the reader's language.

Does not know: where it is shown.
"""

from __future__ import annotations

from penjing.language import say
from penjing.operate.measure.profile.phase import AFTER, BEFORE, CLOSE, Part, Phase, Profile

GIGA = 1e9
BUSY = 0.1
"""Cores of other programs from which on they are told."""
REMARKS = {
    "sum": "{phase}: the parts add up to {sum:.1f} % of the time unwatched; watched it took {slowed:+.0f} %.",
    "off": "That is off by more than {limit:.0f} %: try again while nothing else runs, or with a longer prompt.",
    "others": "Other programs kept {cores:.1f} cores busy meanwhile.",
    "taken off": "Operations ran one by one: {parallel:.1f} µs are taken off each ({single:.1f} µs of one thread).",
}
WORDS = {
    "matrix product": "matrix product",
    "attention": "attention",
    "normalisation": "normalisation",
    "RoPE": "RoPE",
    "recurrence": "recurrence",
    "routing": "routing of experts",
    "elementwise": "elementwise",
    "sampling": "sampling",
    "overhead": "overhead",
    BEFORE: "building the graph",
    AFTER: "reading the result",
    "prefill": "prefill",
    "decode": "decode",
}
"""Templates for names of groups, phases, and what is no operation of a graph; operators are called as in the graph."""


def named(name: str) -> str:
    """A group, phase or operator."""
    return say(WORDS[name]) if name in WORDS else name


def milliseconds(seconds: float) -> str:
    """Three digits that count.

    >>> milliseconds(1.234), milliseconds(0.01234), milliseconds(0.0001234)
    ('1234 ms', '12.3 ms', '0.123 ms')
    """
    value = seconds * 1e3
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.3f} ms"


def about(name: str, phase: Phase) -> str:
    """A phase in one line."""
    if name == "decode":
        what = say("decode, one token: {plain}", plain=milliseconds(phase.plain))
    else:
        what = say("prefill, {tokens} tokens: {plain}", tokens=phase.tokens, plain=milliseconds(phase.plain))
    rate = say("{rate:.1f} tokens/s", rate=phase.tokens / phase.plain if phase.plain else 0.0)
    return f"{what}, {rate}"


def spent(part: Part, total: float) -> str:
    """Time, share, how often."""
    share = part.seconds / total * 100 if total else 0.0
    return f"{milliseconds(part.seconds)}, {share:.1f} %, ×{part.calls}"


def rate(part: Part, *, bytes_first: bool) -> str:
    """How fast what counts most is done: bytes read where one token is computed, else multiplications; empty where
    neither is told."""
    if part.seconds <= 0 or not part.bytes:
        return ""
    if bytes_first:
        return f"{part.bytes / part.seconds / GIGA:.1f} GB/s"
    return f"{part.flops / part.seconds / GIGA:.0f} GFLOP/s"


def detail(part: Part) -> str:
    """Both rates."""
    return ", ".join(text for first in (True, False) if (text := rate(part, bytes_first=first)))


def remarks(profile: Profile) -> list[str]:
    """What has to be known about the numbers."""
    found = []
    for name, phase in profile.each():
        found.append(say(REMARKS["sum"], phase=named(name), sum=phase.accounted * 100, slowed=phase.slowed * 100))
        if not phase.close:
            found.append(say(REMARKS["off"], limit=CLOSE * 100))
    if profile.others > BUSY:
        found.append(say(REMARKS["others"], cores=profile.others))
    launch = profile.decode.launch
    return [*found, say(REMARKS["taken off"], parallel=launch.parallel * 1e6, single=launch.single * 1e6)]
