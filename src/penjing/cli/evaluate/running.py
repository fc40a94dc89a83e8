"""Memory and speed of the models that were judged, as `penjing bench` measures them: in turn, on engines that are
started for it.

Does not know: what else is judged.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from penjing.shrink.evaluate.quality import Quality, Running

if TYPE_CHECKING:
    from penjing.cli.evaluate.found import Subject
    from penjing.cli.model import Opened
    from penjing.operate.measure.outcome import Result

PROMPT, ANSWER, ROUND = 256, 64, 256
"""Tokens; the context is a multiple of ROUND."""
ROUNDS, REQUESTS = 3, 2


def with_speed(quality: Quality, model: Subject, parent: Subject | None, threads: int) -> Quality:
    """`quality` with what was measured. Raises what starting engines raises, NotMeasurable."""
    from penjing.cli.bench.run import measured
    from penjing.operate.measure.wanted import Wanted

    prompt = min(PROMPT, max(16, (model.facts.context or PROMPT) - ANSWER - 16))
    wanted = Wanted(prompt=(prompt,), output_tokens=(ANSWER,), concurrency=(1,), requests=REQUESTS, rounds=ROUNDS)
    each = [_opened(one, threads, prompt) for one in (model, parent) if one is not None]
    outcome = asyncio.run(measured(each, wanted, cold=False))
    found = [_running(result) for result in outcome.results]
    return replace(quality, running=found[0], parent_running=found[1] if parent is not None else None)


def _opened(subject: Subject, threads: int, prompt: int) -> Opened:
    from penjing.cli.local import engine
    from penjing.cli.model import Chosen, Opened
    from penjing.engines.llamacpp import EngineOptions

    context = -(-(prompt + ANSWER) // ROUND) * ROUND
    options = EngineOptions(parallel=1, max_context=context, threads=threads or None)
    made = engine(subject.source, subject.source.name, options, subject.care, subject.file)
    return Opened(made, Chosen(subject.name), subject.file, subject.file, options)


def _running(result: Result) -> Running:
    figures = result.lines[0].figures
    memory = result.fresh.resident if result.fresh else 0
    return Running(memory, round(figures.prompt_tokens), figures.prefill.p50, figures.decode.p50)
