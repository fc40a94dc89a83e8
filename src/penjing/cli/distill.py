"""The verb `distill`: a small model learns to answer as a large one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penjing.cli.training import going_on, regime, require, resumed, warn_of_licence
from penjing.cli.usage import UsageFault
from penjing.cli.verb import argument, option, verb

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.shrink.distill.options import Distilling
    from penjing.shrink.distill.run import Distilled

SECTION = "distill"
EXAMPLES = (
    (
        "penjing distill ./pruned --teacher ./model --data talks.jsonl -o ./student",
        "Bring back what pruning cost.",
    ),
    (
        "penjing distill small.json --teacher ./model --data talks.jsonl -o ./student",
        "A new, smaller model of a config.json, with the teacher's tokenizer.",
    ),
    (
        "penjing distill ./small --teacher-url http://office:8000 --teacher-model qwen3:32b "
        '--consent "Apache-2.0" --data questions.jsonl -o ./student',
        "Learn what a server answers; whose leave allows that is kept in the manifest.",
    ),
    ("penjing distill ./pruned --teacher ./model --data talks.jsonl -o ./student --resume", "Go on after a kill."),
)


@verb("distill", help="Teach a small model to answer as a large one does.", examples=EXAMPLES)
@argument("student", metavar="STUDENT")
@option("--teacher", metavar="MODEL", help="The large model: a checkpoint with the same tokenizer.")
@option("--teacher-url", metavar="URL", help="Or a server with OpenAI's API; its answers become what is learned.")
@option("--teacher-model", metavar="NAME", help="The model to ask that server for.")
@option("--teacher-key", metavar="KEY", help="That server's API key; better: the variable OPENAI_API_KEY.")
@option("--consent", metavar="TEXT", help="What allows learning from that server's answers; kept in the manifest.")
@option("--data", metavar="FILE", multiple=True, help="Conversations to learn from, as finetune reads them.")
@option("--output", "-o", metavar="DIR", help="Write the student into this new folder.")
@option("--rate", metavar="NUMBER", help="Peak learning rate; 1e-4 where not given. Tiny models take 5e-4.")
@option("--divergence", metavar="NAME", help="forward: wherever the teacher gives weight; reverse: only where it does.")
@option("--temperature", metavar="NUMBER", help="Flatten both before they are compared; 1 where not given.")
@option("--mix", metavar="SHARE", help="Of the loss on the data's own words; 0 where not given.")
@regime
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def distill(student: str, **given: Any) -> None:
    """The door."""
    from penjing.cli import local, talk
    from penjing.cli.checkpoint import checkpoint
    from penjing.cli.model import require_known_sections
    from penjing.files import expanded
    from penjing.settings import load
    from penjing.shrink import extra, lineage
    from penjing.shrink.distill.options import Distilling

    require_known_sections()
    _require(given)
    asked = {name: value for name, value in given.items() if name in Distilling.__dataclass_fields__}
    options = load(Distilling, SECTION, asked).value
    extra.require()
    care = local.care(given)
    page = expanded(student)
    learner = page if page.suffix == ".json" and page.is_file() else checkpoint(student, care)[1]
    teacher = checkpoint(given["teacher"], care)[1] if given["teacher"] else None
    for folder in (teacher, learner):
        if folder and folder.is_dir():
            warn_of_licence(str(folder), folder)
    result = _run(learner, teacher, options, given)
    if given["as_json"]:
        talk.data_json({"output": str(result.output), **lineage.last(result.manifest)})
    else:
        tell(result, given["output"])


def _require(given: dict[str, Any]) -> None:
    """Raises UsageFault for what is missing, or contradicts itself."""
    require(given, "penjing distill", "data", "output")
    if bool(given["teacher"]) == bool(given["teacher_url"]):
        raise UsageFault(detail="One of --teacher and --teacher-url is needed.", path="penjing distill")
    if given["teacher_url"] and not given["teacher_model"]:
        raise UsageFault(detail="--teacher-model is missing.", path="penjing distill")


def _run(learner: Path, teacher: Path | None, options: Distilling, given: dict[str, Any]) -> Distilled:
    import os

    from penjing.files import expanded
    from penjing.shrink.alone import alone
    from penjing.shrink.distill import remote
    from penjing.shrink.distill.run import distill as run

    output = expanded(given["output"])
    data = [expanded(each) for each in given["data"]]
    more: dict[str, Any] = {"teacher": teacher, "resume": resumed(given)}
    with alone(output), going_on(output) as report:
        if given["teacher_url"]:
            key = given["teacher_key"] or os.environ.get("OPENAI_API_KEY", "")
            far = remote.Teacher(given["teacher_url"], given["teacher_model"], given["consent"] or "", key)
            more["consent"] = far.agreed
            data = [remote.ask(far, data, output, report)]
        return run(learner, data, output, options, report=report, **more)


def tell(result: Distilled, output: str) -> None:
    """What happened, and what to do next."""
    from penjing.cli import talk
    from penjing.language import say

    state = result.outcome.state
    if result.before is None or result.after is None:
        said = say("{steps} steps, loss {loss:.4f}", steps=state.step, loss=state.losses[-1] if state.losses else 0.0)
    else:
        said = say(
            "{steps} steps, held-out loss {before:.4f} -> {after:.4f} (step {chosen})",
            steps=state.step,
            before=result.before,
            after=result.after,
            chosen=result.outcome.chosen,
        )
    talk.data(f"{output}: {said}")
    if state.looks and result.outcome.chosen == 0:
        talk.warn("No step made the loss on what is held out better: the result is the model as it was.")
    talk.note("Talk to it: penjing chat {output}", output=output)
