"""Predictions beside figures, as tables in both languages.

Does not know: what is predicted, how it was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from penjing.plan.speed import Interval

HEADS: dict[str, dict[str, tuple[str, ...]]] = {
    "memory": {
        "en": ("model", "predicted", "measured", "error", "fitted?"),
        "zh": ("模型", "预测", "实测", "误差", "参与拟合？"),
    },
    "speed": {
        "en": ("model", "what", "predicted", "expected range", "measured", "error", "in range", "fitted?"),
        "zh": ("模型", "项目", "预测", "预期区间", "实测", "误差", "在区间内", "参与拟合？"),
    },
}
WORDS = {
    "en": {
        "yes": "yes",
        "no": "no",
        "fitted": "yes",
        "held": "held out",
        "memory": "Memory",
        "decode": "Decode",
        "prefill": "Prefill",
        "within": "{within} of {count} figures lie in the expected range",
    },
    "zh": {
        "yes": "是",
        "no": "否",
        "fitted": "是",
        "held": "否",
        "memory": "内存",
        "decode": "解码",
        "prefill": "预填充",
        "within": "{count} 项中 {within} 项实测落在预期区间内",
    },
}
PHRASES = {
    "prefill": {"en": "prefill of {prompt_tokens}", "zh": "预填充 {prompt_tokens}"},
    "deep_prefill": {"en": "prefill of {prompt_tokens}", "zh": "预填充 {prompt_tokens}"},
    "decode": {"en": "decode at {context_tokens}", "zh": "上下文 {context_tokens} 处解码"},
    "deep_decode": {"en": "decode at {context_tokens}", "zh": "上下文 {context_tokens} 处解码"},
    "together": {"en": "{together} decodes at once", "zh": "{together} 路同时解码"},
}
HEADINGS = {
    "memory-accuracy": {
        "en": "Resident memory of the engine's worker in MB, predicted from the model's header and measured; {cpu}, "
        "{memory}, llama.cpp of xllamacpp {library}, {date}. Models of these shapes with random weights. "
        "`16384×4` is four conversations of 16384 tokens; the type after it is the cache's.",
        "zh": "引擎工作进程的常驻内存(MB)：由模型文件头预测，与实测对照；{cpu}，{memory}，xllamacpp {library} 所带的 "
        "llama.cpp，{date}。模型取这些形状，权重随机。`16384×4` 表示四路会话、每路 16384 个词元；其后是缓存的类型。",
    },
    "speed-accuracy": {
        "en": "Tokens a second, predicted from a ten-second calibration and the model's header, and as the engine "
        "itself timed them; {cpu}, {cores} cores (virtual, on a host shared with others), xllamacpp {library}, {date}. "
        "What was measured while other programs disturbed a calibration is left out.",
        "zh": "每秒词元数：由十秒标定和模型文件头预测，与引擎自身计时对照；{cpu}，{cores} 核（虚拟机，"
        "与他人共用主机），xllamacpp {library}，{date}。标定时受其他程序干扰的测量未列入。",
    },
}
SUMMARY = {
    "en": "{title}: goal within {goal}. {kept} of {count} keep it; the middle error is {middle}, the largest "
    "{largest} ({worst}); {within}. Held out while the planner was made: {held_count}, of which {held_kept} keep the "
    "goal; middle {held_middle}, largest {held_largest}.",
    "zh": "{title}：目标误差不超过 {goal}。{count} 项中 {kept} 项达到；误差中位数 {middle}，最大 {largest}（{worst}）；"
    "{within}。未参与拟合的 {held_count} 项中 {held_kept} 项达到；中位数 {held_middle}，最大 {held_largest}。",
}

FIGURES = ("count", "middle", "largest", "worst", "kept", "within")


@dataclass(frozen=True)
class Row:
    """One prediction beside its figure. `kind` is what the error's goal depends on, `what` says in each language what
    was measured; `fitted`: the figure was looked at while the planner was made."""

    name: str
    kind: str
    what: dict[str, str]
    predicted: Interval
    measured: float
    fitted: bool

    @property
    def error(self) -> float:
        """Share by which the prediction is above the figure."""
        return self.predicted.likely / self.measured - 1

    @property
    def within(self) -> bool:
        return self.predicted.low <= self.measured <= self.predicted.high


def table(rows: Iterable[Row], language: str) -> str:
    """Markdown. Memory in MB, speed in tokens a second."""
    say, rows = WORDS[language], tuple(rows)
    speed = rows[0].kind != "memory"
    heads = HEADS["speed" if speed else "memory"][language]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        likely, measured = (
            f"{rate:,.{1 if rate < 1000 and speed else 0}f}" for rate in (row.predicted.likely, row.measured)
        )
        cells = [row.name, likely, measured, f"{row.error:+.1%}", say["fitted" if row.fitted else "held"]]
        if speed:
            cells.insert(1, row.what[language])
            cells.insert(3, f"{row.predicted.low:,.1f} – {row.predicted.high:,.1f}")
            cells.insert(6, say["yes" if row.within else "no"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def summaries(rows: Iterable[Row], goals: dict[str, float], language: str) -> list[str]:
    """A paragraph for each kind of rows: how large the errors are, whose is the largest, how many keep the goal."""
    found: list[str] = []
    for kind, goal in goals.items():
        some = [row for row in rows if row.kind == kind]
        say = WORDS[language]
        facts = {"title": say[kind], "goal": f"{goal:.0%}"}
        facts |= _figures(some, goal, "") | _figures([row for row in some if not row.fitted], goal, "held_")
        facts["within"] = say["within"].format(**facts)
        text = SUMMARY[language].format(**facts)
        found += [
            text.replace(f"; {facts['within']}", "").replace(f"；{facts['within']}", "") if kind == "memory" else text,
            "",
        ]
    return found[:-1]


def _figures(rows: list[Row], goal: float, mark: str) -> dict[str, str]:
    if not rows:
        return dict.fromkeys((f"{mark}{name}" for name in FIGURES), "–")
    errors = [abs(row.error) for row in rows]
    worst = max(rows, key=lambda row: abs(row.error))
    told = (
        len(rows),
        f"{statistics.median(errors):.1%}",
        f"{worst.error:+.1%}",
        " ".join((worst.name, worst.what.get("en", ""))).strip(),
        sum(error <= goal for error in errors),
        sum(row.within for row in rows),
    )
    return {f"{mark}{name}": str(value) for name, value in zip(FIGURES, told, strict=True)}
