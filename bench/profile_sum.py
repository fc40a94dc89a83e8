"""Whether profiles add up: the parts of prefill and decode beside the time of the same work unwatched.

    python bench/profile_sum.py [FOLDER] [--turns 3] [--only TEXT] [--write]

Weights are random (`shapes`), which changes neither bytes nor time; files are written into FOLDER (default: a
temporary one) where they are not there. Of each model every turn is a profile of its own, watched and unwatched work in
turn; models alternate. Reported: medians over the turns, and the range of the sum as a share of the unwatched time.
`--write` puts the table into docs/en and docs/zh/profile.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import page
import shapes
from penjing.engines.llamacpp.options import EngineOptions
from penjing.language import say
from penjing.operate.measure.profile.phase import CLOSE, Phase
from penjing.operate.measure.profile.run import profile
from penjing.operate.measure.profile.words import WORDS
from penjing.probe.native import library_version
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
HEADS = {
    "en": "model | phase | unwatched, ms | parts / unwatched | turns | watched | most of it",
    "zh": "模型 | 阶段 | 未剖析，毫秒 | 各部分之和 / 未剖析 | 各轮 | 剖析时 | 主要部分",
}
RULE = "---|---|---:|---:|---|---:|---"
NOTES = {
    "en": "{cpu}, {cores} cores, llama.cpp {library}, {date}, `bench/profile_sum.py`. Medians of {turns} turns; within "
    "{limit:.0f} % are {good} of {all}.",
    "zh": "{cpu}，{cores} 个核心，llama.cpp {library}，{date}，`bench/profile_sum.py`。{turns} 轮的中位数；"
    "{all} 项中有 {good} 项在 {limit:.0f} % 以内。",
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
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        lines = measured(given.folder or Path(temporary), given.turns, given.only)
    texts = {language: text(lines, language, given.turns) for language in HEADS}
    print(texts["en"])
    if given.write:
        page.write("bench/profile_sum.py", texts, "profile")


def measured(folder: Path, turns: int, only: str) -> list[Line]:
    """Every model in every turn."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[tuple[str, str], Line] = {}
    for turn in range(turns):
        for name, kind, prompt in MODELS:
            title = f"{name} {kind}"
            if only not in title:
                continue
            path = guide() if name == "guide" else shapes.write(name, kind, folder)
            options = EngineOptions(max_context=prompt + OUTPUT)
            found = profile(path, name, options, prompt=prompt, output=OUTPUT, seconds=SECONDS)
            for phase_name, phase in found.each():
                lines.setdefault((title, phase_name), Line(title, phase_name)).phases.append(phase)
                print(f"{turn + 1}  {title:<22}{phase_name:<9}{phase.accounted * 100:>7.1f} %", flush=True)
    return list(lines.values())


def text(lines: list[Line], language: str, turns: int) -> str:
    """Heading and table."""
    facts = {"library": library_version(), "date": date.today().isoformat(), "turns": turns, "limit": CLOSE * 100}
    counts = {"good": sum(line.good for line in lines), "all": len(lines)}
    note = NOTES[language].format(**page.machine(), **facts, **counts)
    return "\n".join([note, "", HEADS[language], RULE, *(" | ".join(line.cells(language)) for line in lines)])


if __name__ == "__main__":
    main()
