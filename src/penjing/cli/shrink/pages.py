"""The page of a result, written beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from penjing import __version__
from penjing.cli.command import command
from penjing.cli.shrink.order import Ordered
from penjing.files import write_whole
from penjing.language import current
from penjing.plan.report.frame import About
from penjing.plan.said import said
from penjing.progress import Report
from penjing.shrink.report.answers import asked, questions
from penjing.shrink.report.page import page
from penjing.shrink.run import Finish, Result
from penjing.shrink.steps.evaluate import own

NAME = "report.html"


def report(ordered: Ordered, progress: Report) -> Finish:
    """What writes `report.html` into the folder of the result, with answers of both models. Raises NotAYardstick at
    once, before anything is done."""
    chosen = questions(own(ordered.order.origin))

    def finish(result: Result, folder: Path, gguf: Callable[[Path, Report], Path]) -> None:
        before, after = gguf(ordered.order.origin, progress), gguf(result.taken[-1].model, progress)
        answers = asked(before, after, chosen, progress)
        write_whole(folder / NAME, page(about(ordered, result), result, answers, current()).encode())

    return finish


def about(ordered: Ordered, result: Result) -> About:
    """The head and foot of the page."""
    facts = result.manifest.facts
    return About(
        title=result.order.name,
        name=ordered.model,
        command=command(sys.argv[1:]),
        when=datetime.now().astimezone().isoformat(" ", "minutes"),
        version=__version__,
        facts=(
            (said("architecture"), str(facts["architecture"])),
            (said("parameters"), f"{facts['parameters']:,}"),
            (said("trained context"), f"{facts['context']:,}"),
        ),
    )
