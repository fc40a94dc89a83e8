"""Whether profiles add up: the parts of prefill and decode beside the time of the same work unwatched.

    python bench/profile_sum.py FOLDER [--seconds 330] [--turns 3] [--only TEXT] [--write]

Weights are random (`shapes`), which changes neither bytes nor time; files are written into FOLDER where they are not
there. Each turn is a profile of its own, watched and unwatched work alternating; models take turns. Of each model the
turns in which other programs took least are kept in FOLDER, so that measuring may go on later, for `--seconds` at a
time (0: only print). Reported: medians over the turns, and the range of the sum as a share of the unwatched time.
`--write` puts the table into docs/en and docs/zh/profile.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

import page
import shapes
from penjing.engines.llamacpp.options import EngineOptions
from penjing.language import say
from penjing.native.library import library_version
from penjing.operate.measure.profile.phase import CLOSE, Phase, Profile
from penjing.operate.measure.profile.run import profile
from penjing.operate.measure.profile.words import WORDS
from penjing.probe.others import Others
from penjing.store.resolve import guide

MODELS = (
    ("guide", "Q8_0", 512),
    ("smollm2-135m", "Q8_0", 256),
    ("qwen2.5-0.5b", "Q4_K", 128),
    ("gemma3-1b", "Q8_0", 128),
    ("llama-3.2-1b", "Q4_K", 128),
    ("qwen3moe-3b", "Q4_K", 64),
)
"""Shape, type of the weights, tokens of the prompt."""
OUTPUT, SECONDS = 24, 12.0
DISTURBED = 0.1
"""Cores that other programs may take."""
HEADS = {
    "en": "model | phase | unwatched, ms | parts / unwatched | turns | watched | most of it",
    "zh": "模型 | 阶段 | 未剖析，毫秒 | 各部分之和 / 未剖析 | 各轮 | 剖析时 | 主要部分",
}
RULE = "---|---|---:|---:|---|---:|---"
NOTES = {
    "en": "{cpu}, {cores} cores, llama.cpp {library}, {date}, `bench/profile_sum.py`. Medians of up to {turns} turns, "
    "in which other programs kept at most {busy:.2f} cores busy; within {limit:.0f} % are {good} of {all}.",
    "zh": "{cpu}，{cores} 个核心，llama.cpp {library}，{date}，`bench/profile_sum.py`。至多 {turns} 轮的中位数，"
    "其间其他程序至多占用 {busy:.2f} 个核心；{all} 项中有 {good} 项在 {limit:.0f} % 以内。",
}


@dataclass
class Line:
    """One phase of one model, over all turns."""

    model: str
    name: str
    phases: list[Phase] = field(default_factory=list)

    @property
    def accounted(self) -> float:
        return statistics.median(one.accounted for one in self.phases)

    @property
    def good(self) -> bool:
        return abs(self.accounted - 1) <= CLOSE

    def cells(self, language: str) -> Iterator[str]:
        """As the table has them."""
        middle = sorted(self.phases, key=lambda one: one.accounted)[len(self.phases) // 2]
        each = [one.accounted * 100 for one in self.phases]
        groups = sorted(middle.groups(), key=lambda part: -part.seconds)[:3]
        yield self.model
        yield say(WORDS[self.name], language=language)
        yield f"{statistics.median(one.plain for one in self.phases) * 1e3:.2f}"
        yield f"{self.accounted * 100:.1f} %"
        yield f"{min(each):.1f} – {max(each):.1f}"
        yield f"+{statistics.median(one.slowed for one in self.phases) * 100:.0f} %"
        share = [(say(WORDS[part.group], language=language), part.seconds / middle.total * 100) for part in groups]
        yield ", ".join(f"{name} {percent:.0f} %" for name, percent in share)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=330)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    measure(given.folder, given.seconds, given.turns, given.only)
    texts = {language: text(given.folder, language, given.turns) for language in HEADS}
    print(texts["en"])
    if given.write:
        page.write("bench/profile_sum.py", texts, "profile")


def measure(folder: Path, seconds: float, turns: int, only: str) -> None:
    """Those models first of which there is least, or what there is was most disturbed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        wanting = [one for one in MODELS if only in f"{one[0]} {one[1]}" and missing(kept(folder, one), turns)]
        if not wanting:
            return
        chosen = min(wanting, key=lambda one: (len(kept(folder, one)), -worst(kept(folder, one))))
        name, kind, prompt = chosen
        path = guide() if name == "guide" else shapes.write(name, kind, folder)
        while disturbed() and time.monotonic() < end:
            pass
        options = EngineOptions(max_context=prompt + OUTPUT)
        found = profile(path, name, options, prompt=prompt, output=OUTPUT, seconds=SECONDS)
        each = sorted([*kept(folder, chosen), found], key=lambda one: one.others)[:turns]
        place(folder, chosen).write_bytes(msgspec.json.encode(each))
        sums = ", ".join(f"{phase_name} {phase.accounted * 100:.1f} %" for phase_name, phase in found.each())
        print(f"{name:<16}{found.others:>5.2f} cores of others   {sums}", flush=True)


def disturbed() -> bool:
    """Whether others are at work, after a look of two seconds."""
    others = Others()
    time.sleep(2)
    return others.cores() > DISTURBED


def place(folder: Path, one: tuple[str, str, int]) -> Path:
    return folder / f"profiles {one[0]} {one[1]}.json"


def kept(folder: Path, one: tuple[str, str, int]) -> list[Profile]:
    """What there is of a model, of this library."""
    path = place(folder, one)
    found = msgspec.json.decode(path.read_bytes(), type=list[Profile]) if path.exists() else []
    return [each for each in found if each.library == library_version()]


def worst(profiles: list[Profile]) -> float:
    return max((one.others for one in profiles), default=0.0)


def missing(profiles: list[Profile], turns: int) -> bool:
    """Whether there are too few turns, or some that were disturbed."""
    return len(profiles) < turns or worst(profiles) > DISTURBED


def lines(folder: Path) -> list[Line]:
    """Two for each model there are figures of."""
    found = []
    for one in MODELS:
        profiles = kept(folder, one)
        if profiles:
            title = f"{one[0]} {one[1]}"
            found.append(Line(title, "prefill", [each.prefill for each in profiles]))
            found.append(Line(title, "decode", [each.decode for each in profiles]))
    return found


def text(folder: Path, language: str, turns: int) -> str:
    """Heading and table."""
    each = lines(folder)
    facts = {"library": library_version(), "date": date.today().isoformat(), "turns": turns, "limit": CLOSE * 100}
    counts = {"good": sum(line.good for line in each), "all": len(each)}
    busy = max((worst(kept(folder, one)) for one in MODELS), default=0.0)
    note = NOTES[language].format(**page.machine(), **facts, **counts, busy=busy)
    return "\n".join([note, "", HEADS[language], RULE, *(" | ".join(line.cells(language)) for line in each)])


if __name__ == "__main__":
    main()
