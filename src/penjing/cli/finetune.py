"""The verb `finetune`: a model learns from a person's own examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penjing.cli.training import going_on, regime, require, resumed, warn_of_licence
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
@option("--method", metavar="NAME", help="lora, qlora (weights kept in few bits) or full; lora where not given.")
@option("--base", metavar="NAME", help="Of qlora: weights in nf4, int8, int4 or bnb8 (CUDA); nf4 where not given.")
@option("--epochs", metavar="COUNT", help="So many times over all examples, in place of --steps.")
@option("--rate", metavar="NUMBER", help="Peak learning rate; 2e-5 where not given. Adapters often take 2e-4.")
@option("--rank", metavar="COUNT", help="Of the adapter; 16 where not given.")
@option("--alpha", metavar="NUMBER", help="Strength of the adapter; twice the rank where not given.")
@option("--dropout", metavar="SHARE", help="Of the adapter's inputs, while it learns.")
@option("--targets", metavar="NAME,...", help="Layers to adapt: q_proj,v_proj ...; all linear ones where not given.")
@option("--recompute", is_flag=True, default=None, help="Save memory by computing activations twice.")
@option("--merge", is_flag=True, default=None, help="Write a whole checkpoint with the adapter in it.")
@regime
@option("--allow-untrusted", is_flag=True, default=None, help="Load it even if it is not signed, or was altered.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def finetune(model: str, **given: Any) -> None:
    """The door."""
    from penjing.cli import local, talk
    from penjing.cli.checkpoint import checkpoint
    from penjing.cli.model import require_known_sections
    from penjing.files import expanded
    from penjing.settings import load
    from penjing.shrink import extra
    from penjing.shrink.finetune.options import Tuning

    require_known_sections()
    require(given, "penjing finetune", "data", "output")
    asked = {name: value for name, value in given.items() if name in Tuning.__dataclass_fields__}
    options = load(Tuning, SECTION, asked).value
    extra.require()
    name, folder = checkpoint(model, local.care(given))
    warn_of_licence(name, folder)
    result = _run(folder, [expanded(each) for each in given["data"]], expanded(given["output"]), options, given)
    if given["as_json"]:
        talk.data_json(document(result))
    else:
        tell(result, model, given["output"])


def _run(folder: Any, data: Any, output: Any, options: Any, given: dict[str, Any]) -> Result:
    from penjing.export.gguf import adapter
    from penjing.shrink.alone import alone
    from penjing.shrink.finetune.run import finetune

    more: dict[str, Any] = {"as_gguf": adapter.convert, "resume": resumed(given)}
    with alone(output), going_on(output) as report:
        return finetune(folder, data, output, options, report=report, **more)


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
    from penjing.probe.checkpoint import CONFIG
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
    elif (result.output / CONFIG).is_file():
        talk.note("Talk to it: penjing chat {output}", output=output)
    else:
        talk.note(
            "The adapter goes beside the original too: penjing serve ORIGINAL --lora {name}={output}",
            name=result.output.name,
            output=output,
        )


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
