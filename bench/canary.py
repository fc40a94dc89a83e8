"""How often a canary is rolled back, and after how many conversations: the judge of `penjing release canary` in
simulated trials, with its own defaults.

    python bench/canary.py [--trials 1000] [--json]
    python bench/canary.py --write      puts the table into docs/en and docs/zh/release.md

Conversations come one after the other, each by chance to the canary or to the stable version, with one answer. The
stable version fails in 1 % of them, refuses in 2 %, is disliked in 5 %; its times are lognormal with a deviation of
0.4 (of the logarithm). The canary is the same but for what the row says. The seed is the number of the trial.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from dataclasses import dataclass

import page
from penjing.gateway.arms import CANARY, STABLE, Sample, Thumb
from penjing.operate.release.judge import Judge
from penjing.store.channels import Trial

DEVIATION = 0.4
SHARES = (0.1, 0.5)
QUESTIONS = 100
DEFAULTS = {field: Trial.__struct_defaults__[index] for index, field in enumerate(Trial.__struct_fields__[2:])}


@dataclass(frozen=True)
class Model:
    """Rates in conversations; `slower`: its times, as a factor; `knows` of the yardstick's questions."""

    fails: float = 0.01
    refuses: float = 0.02
    disliked: float = 0.05
    slower: float = 1.0
    knows: float = 0.8


STABLE_ONE = Model()
CANARIES = {
    ("the same", "相同"): STABLE_ONE,
    ("better: fails 0 %, disliked 2 %, a third faster", "更好：失败 0 %，不喜欢 2 %，快三分之一"): Model(
        fails=0, disliked=0.02, slower=0.75, knows=0.9
    ),
    ("fails 5 %", "失败 5 %"): Model(fails=0.05),
    ("fails 10 %", "失败 10 %"): Model(fails=0.1),
    ("fails 30 %", "失败 30 %"): Model(fails=0.3),
    ("refuses 10 %", "拒答 10 %"): Model(refuses=0.1),
    ("refuses 30 %", "拒答 30 %"): Model(refuses=0.3),
    ("disliked 15 %", "不喜欢 15 %"): Model(disliked=0.15),
    ("disliked 30 %", "不喜欢 30 %"): Model(disliked=0.3),
    ("1.2 times slower", "慢到 1.2 倍"): Model(slower=1.2),
    ("1.5 times slower", "慢到 1.5 倍"): Model(slower=1.5),
    ("twice as slow", "慢一倍"): Model(slower=2),
    ("knows 70 of 100 instead of 80", "会 70 题而不是 80 题（共 100）"): Model(knows=0.7),
    ("knows 50 of 100 instead of 80", "会 50 题而不是 80 题（共 100）"): Model(knows=0.5),
}


def trial(canary: Model, share: float, seed: int) -> tuple[bool, int]:
    """Whether it was rolled back, and after how many of its conversations."""
    chance = random.Random(seed)
    judge = Judge(share, DEFAULTS["conversations"], DEFAULTS["risk"], yardstick=True)
    for _ in range(QUESTIONS):
        judge.answered(stable=chance.random() < STABLE_ONE.knows, canary=chance.random() < canary.knows)
        if judge.verdict == "rollback":
            return True, 0  # while nobody has asked yet
    judge.measured()
    while judge.verdict == "undecided":
        lot = chance.random()
        arm, model = (CANARY, canary) if lot < share else (STABLE, STABLE_ONE)
        judge.hear(
            Sample(
                "m",
                arm,
                lot,
                failed=chance.random() < model.fails,
                refused=chance.random() < model.refuses,
                ttft=chance.lognormvariate(0, DEVIATION) * model.slower,
                rate=chance.lognormvariate(0, DEVIATION) / model.slower,
            )
        )
        if chance.random() < model.disliked:
            judge.hear(Thumb("m", arm, lot, up=False))
    return judge.verdict == "rollback", judge.conversations[CANARY]


def rows(trials: int) -> list[dict[str, object]]:
    """Of each canary and share: how many were rolled back, and the median and 90th percentile of conversations of those
    that were."""
    found: list[dict[str, object]] = []
    for (english, chinese), canary in CANARIES.items():
        for share in SHARES:
            ends = [trial(canary, share, seed) for seed in range(trials)]
            back = sorted(count for gone, count in ends if gone)
            found.append(
                {
                    "en": english,
                    "zh": chinese,
                    "share": share,
                    "rolled_back": len(back) / trials,
                    "median": statistics.median(back) if back else None,
                    "p90": back[int(0.9 * (len(back) - 1))] if back else None,
                }
            )
    return found


def table(found: list[dict[str, object]], trials: int, language: str) -> str:
    """Markdown."""
    heads = {
        "en": ("the canary", *(f"rolled back, share {share:.0%} | after (median, p90)" for share in SHARES)),
        "zh": ("灰度版本", *(f"被回退，比例 {share:.0%} | 在几个对话之后（中位数，p90）" for share in SHARES)),
    }[language]
    lines = ["| " + " | ".join(heads) + " |", "|---" * (1 + 2 * len(SHARES)) + "|"]
    for place in range(0, len(found), len(SHARES)):
        cells = [str(found[place][language])]
        for row in found[place : place + len(SHARES)]:
            after = "-" if row["median"] is None else f"{row['median']:.0f}, {row['p90']}"
            cells += [f"{row['rolled_back']:.1%}", after]
        lines.append("| " + " | ".join(cells) + " |")
    said = {
        "en": f"{trials} simulated trials each (`bench/canary.py`, which says what is simulated), "
        f"{DEFAULTS['conversations']} conversations, a risk of {DEFAULTS['risk']:.0%}.",
        "zh": f"各 {trials} 次模拟试用（`bench/canary.py`，其中写明模拟了什么），"
        f"{DEFAULTS['conversations']} 个对话，风险 {DEFAULTS['risk']:.0%}。",
    }[language]
    return "\n".join([*lines, "", said])


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    found = rows(given.trials)
    if given.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(table(found, given.trials, "en"))
    if given.write:
        page.write("canary", {language: table(found, given.trials, language) for language in ("en", "zh")}, "release")


if __name__ == "__main__":
    main()
