"""The verb `evaluate`: what a model is worth, and what it lost against the one it was made from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penjing.cli import forms
from penjing.cli.forms import form_options
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError

if TYPE_CHECKING:
    from penjing.shrink.evaluate.quality import Quality

BITS = "2|3|4|5|6|8|16|32"
WANTED = ("text", "tasks", "questions", "windows", "context", "every_token", "threads", "seed", "speed")
EXAMPLES = (
    ("penjing evaluate ./small.gguf --against ./big.gguf", "What the small one lost: divergence, answers, speed."),
    ("penjing evaluate guide --bits 4 --against guide", "What four bits would cost the built-in model."),
    ("penjing evaluate ./model.gguf --text wiki.txt --windows all", "Perplexity on a text of your own."),
    ("penjing evaluate guide --tasks yardstick --questions 200", "How many questions it answers right."),
    ("penjing evaluate ./model.gguf --tasks arc.yaml --text none", "A task of lm-eval with its data in local files."),
    ("penjing evaluate ./a.gguf --against ./b.gguf -o report.html", "A page with the figures as pictures."),
)


class NothingToEvaluate(InputError):
    """Facts: none."""

    template = "Without a text, tasks and speed there is nothing to evaluate."
    hint = "Leave --text none or --no-speed out, or name --tasks."
    code = "nothing_to_evaluate"


@verb(
    "evaluate",
    help="Measure what a model is worth: perplexity, answers, size, speed; against its parent also what it lost.",
    examples=EXAMPLES,
)
@argument("model", metavar="MODEL", required=True)
@option("--against", metavar="PARENT", help="The model that it was made from.")
@option("--bits", metavar=BITS, help="Quantize a checkpoint to so many bits a weight (once, kept in the cache).")
@option("--against-bits", metavar=BITS, help="The same for PARENT; 16 for a checkpoint where not given.")
@option(
    "--text",
    metavar="FILE|NAME",
    multiple=True,
    help="Held-out text: a .txt, .md, .jsonl or folder, or heldout, yardstick, none; may be given again.",
)
@option(
    "--tasks",
    metavar="FILE|NAME",
    multiple=True,
    help="Questions: a .jsonl, an lm-eval .yaml, yardstick (the guide's) or general; may be given again.",
)
@option("--questions", metavar="COUNT", help="Ask at most so many of each task, drawn evenly; all where not given.")
@option("--windows", metavar="COUNT|all", help="Read so many windows of each text; fewer of large models if not given.")
@option("--context", metavar="TOKENS", help="Length of a window; 512 where not given.")
@option("--every-token", is_flag=True, default=None, help="Score all of a conversation, not only the answers in it.")
@option("--speed/--no-speed", default=None, help="Start the engine too: memory, prefill and decode speed.")
@option("--threads", metavar="COUNT", help="Threads that compute; one for each physical core where not given.")
@option("--seed", metavar="NUMBER", help="The same seed gives the same intervals.")
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@form_options
def evaluate(**given: Any) -> None:
    """The door."""
    from penjing.cli.evaluate.shown import markdown, show

    files = forms.files(given["output"])
    quality = measured(given)
    put = forms.Forms(quality.document, lambda: markdown(quality), lambda: _page(quality))
    forms.deliver(put, files, given, lambda: show(quality))


def measured(given: dict[str, Any]) -> Quality:
    """Everything that was asked for. Raises NothingToEvaluate, SettingError, and what `found.found`, `evaluate`,
    `running.running` raise."""
    from penjing.cli.evaluate.found import parent_of, subject
    from penjing.cli.evaluate.running import with_speed
    from penjing.cli.local import care
    from penjing.cli.model import require_known_sections
    from penjing.cli.progress import shown
    from penjing.settings import load
    from penjing.shrink.evaluate.run import evaluate as judged
    from penjing.shrink.evaluate.wanted import Wanted

    require_known_sections()
    wanted = load(Wanted, "evaluate", {name: given[name] for name in WANTED}).value
    texts, tasks = wanted.texts(), wanted.questioned()
    if texts == [] and not tasks and not wanted.speed:
        raise NothingToEvaluate
    careful = care(given)
    model, parent = subject(given["model"], given["bits"], careful), parent_of(given, careful)
    with shown() as report:
        quality = judged(
            model.file,
            parent.file if parent else None,
            texts=texts,
            tasks=tasks,
            context=wanted.context,
            most_windows=wanted.most(model.facts.parameters),
            every_token=wanted.every_token,
            threads=wanted.threads,
            seed=wanted.seed,
            report=report,
        )
    quality = replace(quality, model=model.title, parent=parent.title if parent else "")
    return with_speed(quality, model, parent, wanted.threads) if wanted.speed else quality


def _page(quality: Quality) -> str:
    from datetime import datetime, timezone

    from penjing.language import current
    from penjing.shrink.evaluate.page import page

    about = forms.about(quality.model, datetime.now(timezone.utc).isoformat(timespec="seconds"))
    return page(about, quality, current())
