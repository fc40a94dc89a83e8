"""The verb `finetune`: a model learns from a person's own examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penjing.cli.usage import UsageFault
from penjing.cli.verb import argument, option, verb

if TYPE_CHECKING:
    from penjing.shrink.finetune.run import Result

SECTION = "finetune"
EXAMPLES = (
    (
        "penjing finetune guide --data faq.jsonl -o faq",
        "An adapter (LoRA) of your own conversations, in the folder faq.",
    ),
    ("penjing serve guide --lora faq=faq", "Serve it: requests ask for guide or for guide:faq."),
    ("penjing finetune ./model --data a.jsonl --epochs 3 -o m", "Three times over all examples."),
    ("penjing finetune ./model --data a.jsonl --merge -o m", "A whole checkpoint instead of an adapter."),
    ("penjing finetune ./model --data a.jsonl --method full -o m", "Train all weights."),
    ("penjing finetune guide --data faq.jsonl -o faq --resume", "Go on after a kill."),
)


@verb(
    "finetune", help="Teach a model your own examples: an adapter (LoRA, QLoRA) or all its weights.", examples=EXAMPLES
)
@argument("model", metavar="MODEL")
@option("--data", metavar="FILE", multiple=True, help="Examples: chat .jsonl (messages) or Alpaca; may be given again.")
@option("--output", "-o", metavar="DIR", help="Write the adapter, or the checkpoint, into this new folder.")
@option("--method", metavar="NAME", help="lora, qlora (weights kept in 4 bits) or full; lora where not given.")
@option("--steps", metavar="COUNT", help="Steps at most; 3000 where not given, 0 for no limit but --minutes.")
@option("--epochs", metavar="COUNT", help="So many times over all examples, in place of --steps.")
@option("--minutes", metavar="COUNT", help="Minutes of computing at most.")
@option("--rate", metavar="NUMBER", help="Peak learning rate; 2e-5 where not given. Adapters often take 2e-4.")
@option("--batch", metavar="COUNT", help="Examples a step; 8 where not given.")
@option("--accumulate", metavar="COUNT", help="Compute a step in so many passes, to save memory.")
@option("--length", metavar="TOKENS", help="Longer examples are cut; 2048 where not given.")
@option("--pack/--no-pack", default=None, help="Short examples side by side in one row, unseen by each other.")
@option("--learn", metavar="WHAT", help="answers: only what the assistant says; all: the whole conversation.")
@option("--rank", metavar="COUNT", help="Of the adapter; 16 where not given.")
@option("--alpha", metavar="NUMBER", help="Strength of the adapter; twice the rank where not given.")
@option("--dropout", metavar="SHARE", help="Of the adapter's inputs, while it learns.")
@option("--targets", metavar="NAME,...", help="Layers to adapt: q_proj,v_proj ...; all linear ones where not given.")
@option("--heldout", metavar="FILE", help="Examples to measure on; --held-out of the others where not given.")
@option("--held-out", metavar="SHARE", help="Of the examples, kept to measure on; 0.05 where not given.")
@option("--patience", metavar="COUNT", help="Stop after so many measurements without a better one; 0 for never.")
@option("--look-every", metavar="STEPS", help="How often it is measured; 100 where not given.")
@option("--save-every", metavar="STEPS", help="How often the state is kept; 200 where not given.")
@option("--keep", metavar="COUNT", help="How many of the newest states stay; 2 where not given.")
@option("--warmup", metavar="SHARE", help="Of the run, until the rate is at its peak; 0.03 where not given.")
@option("--decay", metavar="NAME", help="How the rate falls: cosine, linear or constant.")
@option("--weight-decay", metavar="NUMBER", help="Pull weights towards 0 by this share of the rate.")
@option("--clip", metavar="NUMBER", help="Longest gradient of a step; 1 where not given.")
@option("--seed", metavar="NUMBER", help="The same seed, the same run.")
@option("--precision", metavar="NAME", help="f32, bf16, or auto: bf16 where that is faster.")
@option("--recompute", is_flag=True, default=None, help="Save memory by computing activations twice.")
@option("--device", metavar="NAME", help="auto, cpu, cuda or mps.")
@option("--merge", is_flag=True, default=None, help="Write a whole checkpoint with the adapter in it.")
@option("--resume", is_flag=True, help="Go on from the last state of a run that was stopped.")
@option("--resume-from", metavar="FILE", help="Go on from this state.")
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def finetune(model: str, **given: Any) -> None:
    """The door."""
    from penjing.cli import local, talk
    from penjing.cli.checkpoint import checkpoint
    from penjing.cli.model import require_known_sections
    from penjing.files import expanded
    from penjing.settings import load
    from penjing.shrink import extra, lineage
    from penjing.shrink.finetune.options import Tuning

    require_known_sections()
    for name in ("data", "output"):
        if not given[name]:
            raise UsageFault(detail=f"--{name} is missing.", path="penjing finetune")
    asked = {name: value for name, value in given.items() if name in Tuning.__dataclass_fields__}
    options = load(Tuning, SECTION, asked).value
    extra.require()
    name, folder = checkpoint(model, local.care(given))
    if lineage.forbids_derivatives(lineage.licence(folder)):
        talk.warn(
            "The licence of {model} ({licence}) forbids passing on changed versions.",
            model=name,
            licence=lineage.licence(folder),
        )
    result = _run(folder, [expanded(each) for each in given["data"]], expanded(given["output"]), options, given)
    if given["as_json"]:
        talk.data_json(document(result))
    else:
        tell(result, model, given["output"])


def _run(folder: Any, data: Any, output: Any, options: Any, given: dict[str, Any]) -> Result:
    from penjing.cli import talk
    from penjing.cli.progress import shown
    from penjing.export.gguf import adapter
    from penjing.files import expanded
    from penjing.shrink.finetune.run import finetune, states

    resume = expanded(given["resume_from"]) if given["resume_from"] else bool(given["resume"])
    try:
        with shown() as report:
            return finetune(folder, data, output, options, as_gguf=adapter.convert, resume=resume, report=report)
    except KeyboardInterrupt:
        if states(output).is_dir():
            talk.note("Stopped. What was learned is kept; go on with the same command and --resume.")
        raise


def document(result: Result) -> dict[str, Any]:
    """What happened, as --json prints it; losses in nats a token."""
    state, counts = result.outcome.state, result.counts
    return {
        "output": str(result.output),
        "files": sorted(path.name for path in result.output.iterdir()),
        "ended": result.outcome.why,
        "steps": state.step,
        "chosen": result.outcome.chosen,
        "loss": state.losses[-1] if state.losses else None,
        "heldout": [{"step": step, "loss": loss} for step, loss in state.looks],
        "seconds": round(state.seconds, 2),
        "tokens": state.tokens,
        "examples": {**vars(counts), "held_out": result.heldout},
        "parameters": result.parameters,
        "trained": result.trained,
    }


def tell(result: Result, model: str, output: str) -> None:
    """What happened, and what to do next."""
    from penjing.cli import talk
    from penjing.shrink.finetune.run import GGUF

    state, counts = result.outcome.state, result.counts
    if counts.cut or counts.left_out:
        talk.warn(
            "Of {count} examples {cut} were cut at --length, and {left_out} left out, since no answer fitted.",
            count=counts.examples + counts.left_out,
            cut=counts.cut,
            left_out=counts.left_out,
        )
    if state.looks and result.outcome.chosen == 0:
        talk.warn("No step made the loss on what is held out better: the result is the model as it was.")
    talk.data(f"{output}: {say_learned(result)}")
    if (result.output / GGUF).is_file():
        talk.note(
            "Serve it: penjing serve {model} --lora {name}={output}",
            model=model,
            name=result.output.name,
            output=output,
        )
    else:
        talk.note("Talk to it: penjing chat {output}", output=output)


def say_learned(result: Result) -> str:
    """One sentence."""
    from penjing.language import say

    state = result.outcome.state
    if not state.looks:
        return say("{steps} steps, loss {loss:.3f}", steps=state.step, loss=state.losses[-1] if state.losses else 0.0)
    return say(
        "{steps} steps, held-out loss {first:.3f} -> {best:.3f} (step {chosen})",
        steps=state.step,
        first=state.looks[0][1],
        best=min(loss for _, loss in state.looks),
        chosen=result.outcome.chosen,
    )
