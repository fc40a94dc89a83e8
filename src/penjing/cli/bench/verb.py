"""The verb `bench`: how fast a model answers here, or somebody else's server; two of them in turn with --vs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penjing.cli import forms
from penjing.cli.forms import form_options
from penjing.cli.model import LOCAL, Misplaced, is_url, model_options
from penjing.cli.verb import option, verb

if TYPE_CHECKING:
    from penjing.cli.model import Opened
    from penjing.operate.measure.outcome import Outcome
    from penjing.operate.measure.wanted import Wanted

WANTED = (
    "prompt",
    "output_tokens",
    "concurrency",
    "rate",
    "requests",
    "seconds",
    "rounds",
    "shared_prompt",
    "slo",
    "seed",
)
INTERRUPTED = 130
ROUND = 256
"""Tokens of context are asked for in steps of so many."""
EXAMPLES = (
    ("penjing bench", "The built-in model, with one and with four clients."),
    ("penjing bench ./model.gguf --prompt 512,4096", "A model of your own, over long prompts."),
    ("penjing bench http://office:8000", "Any server that speaks OpenAI's API."),
    ("penjing bench guide --vs http://127.0.0.1:8080", "Two of them in turn, with the ratio."),
    ("penjing bench guide --concurrency 1,8 -o bench.html", "A page with the figures as pictures."),
    ("penjing bench guide --profile flame.svg", "Where the time goes, operator by operator."),
)


@verb("bench", help="Measure how fast a model answers: latency, throughput, memory, power.", examples=EXAMPLES)
@model_options
@option("--vs", metavar="MODEL|URL", help="A second one, measured in turn with the first.")
@option("--vs-key", metavar="KEY", help="The key that the URL after --vs asks for.")
@option("--vs-model", metavar="NAME", help="Which of the models of the URL after --vs.")
@option("--prompt", metavar="TOKENS,...", help="Lengths of prompts; 128,512 where not given.")
@option("--output-tokens", metavar="TOKENS,...", help="Lengths of answers; 64 where not given.")
@option("--concurrency", metavar="COUNT,...", help="How many ask at once; 1,4 where not given.")
@option("--rate", metavar="NUMBER,...", help="Questions a second, answered or not, instead of --concurrency.")
@option("--requests", metavar="COUNT", help="Questions of each round; about a minute in all where not given.")
@option("--seconds", metavar="SECONDS", help="How long each round lasts, instead of --requests.")
@option("--rounds", metavar="COUNT", help="How often all is measured; 3 where not given.")
@option("--shared-prompt", metavar="TOKENS", help="So many tokens are the same in all prompts, as a system prompt is.")
@option("--slo", metavar="GOALS", help="Count what keeps them: ttft=500ms,tpot=50ms,e2e=10s")
@option("--seed", metavar="NUMBER", help="The same seed makes the same prompts.")
@option("--cold", is_flag=True, help="Start with the model's file out of the system's memory first.")
@option(
    "--profile",
    metavar="FILE",
    multiple=True,
    help="Instead: where the time goes, into a .svg, .json or .md (see docs).",
)
@form_options
def bench(**given: Any) -> int:
    """The door. Returns the exit status."""
    from penjing.cli.bench.run import measured
    from penjing.cli.model import require_known_sections
    from penjing.operate.measure.wanted import Wanted
    from penjing.settings import load

    require_known_sections()
    if given["profile"]:
        from penjing.cli.bench.profiled import profiled

        profiled(given)
        return 0
    files = forms.files(given["output"])
    wanted = load(Wanted, "bench", {name: given[name] for name in WANTED}).value
    outcome = asyncio.run(measured(_opened(given, wanted), wanted, cold=given["cold"]))
    from penjing.cli.bench.shown import markdown, show

    put = forms.Forms(outcome.document, lambda: markdown(outcome), lambda: _page(outcome))
    forms.deliver(put, files, given, lambda: show(outcome))
    return INTERRUPTED if outcome.stopped else 0


def _page(outcome: Outcome) -> str:
    from penjing.language import current
    from penjing.operate.measure.report import page

    about = forms.about(" / ".join(result.name for result in outcome.results), outcome.when)
    return page(about, outcome, current())


def _opened(given: dict[str, Any], wanted: Wanted) -> list[Opened]:
    """What is measured, nothing started. Raises Misplaced, and what `open_engine` raises."""
    from penjing.cli.local import care
    from penjing.cli.model import chosen, engine_options, open_engine

    other = given["vs"] or ""
    for name in ("vs_key", "vs_model"):
        if given[name] and not is_url(other):
            raise Misplaced(option="--" + name.replace("_", "-"), model=other or "-", detail=LOCAL)
    context = -(-wanted.tokens // ROUND) * ROUND
    first = chosen(given)
    options = engine_options(given if not first.remote else {}, parallel=wanted.together, max_context=context)
    careful = care(given)
    found = [open_engine(first, options, care=careful)]
    if other:
        own = {"remote_key": given["vs_key"], "remote_model": given["vs_model"]}
        second = chosen({"model": other, **own} if is_url(other) else {**given, "model": other, **dict.fromkeys(own)})
        found.append(open_engine(second, options, care=careful))
    return found
