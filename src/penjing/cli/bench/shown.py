"""The figures of a bench: rows for people, a Markdown table to paste.

Does not know: how anything was measured.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.layout import columns
from penjing.files import human
from penjing.language import say

if TYPE_CHECKING:
    from penjing.operate.measure.figures import Ratio, Spread
    from penjing.operate.measure.outcome import Compared, Line, Outcome, Result

GAP = "  "
LEFT = ("name",)
"""Columns of words; figures stand on the right."""
RESTLESS = 0.2
"""From so much difference between rounds on figures are not to be trusted."""
HEADS = {
    "name": "model",
    "prompt": "prompt",
    "output": "answer",
    "clients": "at once",
    "first": "TTFT p50/p90/p99 ms",
    "gap": "ITL p50/p90/p99 ms",
    "whole": "whole p50/p90/p99 ms",
    "prefill": "prefill tok/s",
    "decode": "decode tok/s",
    "tokens": "all tok/s",
    "good": "good/s",
    "joules": "J/token",
    "failed": "failed",
}
"""Of the columns, as templates."""


def show(outcome: Outcome) -> None:
    """Print for people. What the terminal is too narrow for goes under each other."""
    for result in outcome.results:
        _about(result)
    rows = [cells(result.name, line, several=len(outcome.results) > 1) for result, line in outcome.ordered]
    width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 0
    for text in table(rows, width):
        talk.data(talk.printable(text))
    for text in comparisons(outcome):
        talk.data(talk.printable(text))
    for result in outcome.results:
        for text in plans(result):
            talk.data(talk.printable(text))
        for note in result.notes:
            talk.data(f"{result.name}: {say(note)}")
        for reason, count in failures(result).items():
            talk.warn("{name}: {count} answers failed: {detail}", name=result.name, count=count, detail=reason)
    if (apart := outcome.apart) > RESTLESS:
        talk.warn("Rounds differ by {share:.0%}: something else uses this machine, or it slows down.", share=apart)
    if outcome.stopped:
        talk.warn("Stopped early: these are the figures until then.")


def _about(result: Result) -> None:
    """What it is, how it started, what it takes."""
    parts = [say("context {tokens}", tokens=result.context)] if result.context else []
    for start in result.starts:
        template = "cold start {seconds:.2f} s" if start.cold else "start {seconds:.2f} s"
        parts.append(say(template, seconds=start.seconds))
        parts.append(say("first word {milliseconds:.0f} ms", milliseconds=start.first * 1e3))
    if (fresh := result.fresh) and (memory := result.memory):
        grown = say("then {resident}", resident=human(memory.resident))
        parts.append(say("memory {resident}", resident=human(fresh.resident)) + f" ({grown})")
    if result.starts and not any(line.joules for line in result.lines):
        parts.append(say(result.power))
    talk.data(f"{result.name}: {', '.join(parts)}" if parts else result.name)


def cells(name: str, line: Line, *, several: bool) -> dict[str, str]:
    """One line of the table, by column; columns that say nothing are left out."""
    figures, load = line.figures, line.load
    failed = sum(figures.failed.values())
    found = {
        "name": name if several else "",
        "prompt": f"{figures.prompt_tokens or load.prompt:.0f}",
        "output": f"{figures.completion_tokens or load.output:.0f}",
        "clients": f"{load.rate:g}/s" if load.rate else str(load.clients),
        "first": milliseconds(figures.first),
        "gap": milliseconds(figures.gap),
        "whole": milliseconds(figures.whole),
        "prefill": rate(figures.prefill.p50),
        "decode": rate(figures.decode.p50),
        "tokens": rate(figures.tokens),
        "good": digits(figures.good) if figures.good is not None else "",
        "joules": f"{line.joules:.3g}" if line.joules else "",
        "failed": str(failed) if failed else "",
    }
    return {column: text for column, text in found.items() if text}


def milliseconds(spread: Spread) -> str:
    """Three percentiles, three digits each.

    >>> from penjing.operate.measure.figures import Spread
    >>> milliseconds(Spread(0.00123, 0.0456, 1.2345, 1, 3))
    '1.23/45.6/1234'
    """
    return "/".join(digits(each * 1e3) for each in (spread.p50, spread.p90, spread.p99)) if spread.count else "-"


def digits(value: float) -> str:
    """Three of them, without an exponent."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def rate(value: float) -> str:
    """Tokens or answers a second."""
    return digits(value) if value else "-"


def table(rows: Sequence[dict[str, str]], width: int) -> list[str]:
    """Aligned lines; where `width` columns (0: any) are too few, what does not fit follows in a second table."""
    used = [name for name in HEADS if any(name in row for row in rows)]
    heads = {name: say(HEADS[name]) for name in used}
    wide = {name: max(columns(text) for text in (heads[name], *(row.get(name, "-") for row in rows))) for name in used}
    fixed = [name for name in used if name in ("name", "prompt", "output", "clients")]
    rest = [name for name in used if name not in fixed]
    lines: list[str] = []
    while rest:
        taken = fixed + rest[:1]
        rest = rest[1:]
        while rest and (not width or sum(wide[name] + len(GAP) for name in (*taken, rest[0])) <= width):
            taken.append(rest.pop(0))
        lines += [
            GAP.join(_aligned(row.get(name, "-"), wide[name], left=name in LEFT) for name in taken)
            for row in (heads, *rows)
        ]
    return [line.rstrip() for line in lines]


def _aligned(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - columns(text))
    return text + space if left else space + text


def comparisons(outcome: Outcome) -> list[str]:
    """How many times as fast the first one is, load by load."""
    if not outcome.compared:
        return []
    ours, theirs = outcome.results
    found = [say("{ours} over {theirs}, median (range) of the rounds:", ours=ours.name, theirs=theirs.name)]
    for line, compared in zip(ours.lines, outcome.compared, strict=False):
        load = line.load
        shape = say(
            "prompt {prompt}, answer {output}, at once {clients}",
            prompt=load.prompt,
            output=load.output,
            clients=load.clients,
        )
        found.append(f"{GAP}{shape}: {ratios(compared)}")
    return found


def ratios(compared: Compared) -> str:
    """Tokens a second and time to the first token of the one over those of the other."""
    return say("tok/s × {tokens}, TTFT × {first}", tokens=ranged(compared.tokens), first=ranged(compared.first))


def ranged(ratio: Ratio | None) -> str:
    """Median and range.

    >>> from penjing.operate.measure.figures import Ratio
    >>> ranged(Ratio(0.973, 0.95, 1.01, 8)), ranged(None)
    ('0.973 (0.950 … 1.010)', '-')
    """
    return f"{ratio.median:.3f} ({ratio.least:.3f} … {ratio.most:.3f})" if ratio else "-"


def plans(result: Result) -> list[str]:
    """What was planned beside what was measured, where there was a plan; empty for a server elsewhere."""
    found = []
    if result.fresh and result.planned:
        found.append(f"{GAP}{say('memory')}: {human(result.planned)} / {human(result.fresh.resident)}")
    for line in result.lines:
        for name, told, measured in (
            (say("prefill tok/s"), line.planned.prefill, line.figures.prefill.p50),
            (say("decode tok/s"), line.planned.decode, line.figures.decode.p50),
        ):
            if told is not None and measured:
                expected = f"{digits(told.likely)} ({digits(told.low)} … {digits(told.high)})"
                shape = say("prompt {prompt}, answer {output}", prompt=line.load.prompt, output=line.load.output)
                found.append(f"{GAP}{name}, {shape}: {expected} / {digits(measured)}")
    if not found:
        return []
    if len(found) == 1:
        found.append(GAP + say("speed is only planned for a CPU that was measured: penjing probe --calibrate"))
    return [say("{name}, planned / measured:", name=result.name), *found]


def failures(result: Result) -> dict[str, int]:
    """How many answers failed, by reason."""
    found: dict[str, int] = {}
    for line in result.lines:
        for reason, count in line.figures.failed.items():
            found[reason] = found.get(reason, 0) + count
    return found


def markdown(outcome: Outcome) -> str:
    """A table to paste, with the machine under it."""
    rows = [cells(result.name, line, several=True) for result, line in outcome.ordered]
    used = [name for name in HEADS if any(name in row for row in rows)]
    lines = ["| " + " | ".join(say(HEADS[name]) for name in used) + " |"]
    lines.append("|" + "|".join("---" if name in LEFT else "--:" for name in used) + "|")
    lines += ["| " + " | ".join(row.get(name, "-").replace("|", "\\|") for name in used) + " |" for row in rows]
    host = outcome.host
    where = say(
        "{cpu}, {cores} cores, {memory} memory, {system}, penjing {version}, {when}",
        cpu=host.cpu,
        cores=host.cores,
        memory=human(host.memory),
        system=host.system,
        version=host.penjing,
        when=outcome.when,
    )
    return "\n".join([*lines, "", *([text + "  " for text in comparisons(outcome)]), where]) + "\n"
