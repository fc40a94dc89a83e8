"""The rows of new tokens are trained, and nothing else: every old row and all other weights stay bit for bit.

New text and old text are learned in turns: new rows are the rivals of old ones at every token, and old text teaches
them when to keep away.

    OUTPUT.grown/       the checkpoint with untrained rows, until OUTPUT is there
    OUTPUT.training/    the states of a run that is not over

Does not know: how a vocabulary grows.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.manifest import Manifest
from penjing.progress import Progress, Report
from penjing.shrink import torch_model, work
from penjing.shrink.checkpoints import Checkpoints
from penjing.shrink.examples import examples
from penjing.shrink.finetune.faults import Unfinished
from penjing.shrink.lineage import Step
from penjing.shrink.output import require_free
from penjing.shrink.regime import Regime
from penjing.shrink.texts.known import CALIBRATION, builtin
from penjing.shrink.texts.text import Text
from penjing.shrink.training import Outcome, Training
from penjing.shrink.vocabulary.grow import Grown, divided, grow

if TYPE_CHECKING:
    from torch import Tensor

CONTEXT = 256
"""Tokens of an example."""
SHARE = 0.1
"""The learning rate, as a share of how large numbers in old rows are (their root mean square): models differ much."""
GROWN, STATES = ".grown", ".training"


@dataclass(frozen=True)
class Wish:
    """How rows are trained; `rate` None: as suits the model."""

    steps: int
    rate: float | None
    resume: bool


def _beside(output: Path, ending: str) -> Path:
    return output.with_name(output.name + ending)


def unfinished(output: Path) -> bool:
    """Whether a training for `output` was stopped before its end."""
    return bool(Checkpoints(_beside(output, STATES)).all())


def grow_and_train(
    folder: Path,
    texts: Sequence[Text],
    output: Path,
    size: int,
    steps: int,
    *,
    rate: float | None = None,
    old: Sequence[Text] = (),
    resume: bool = False,
    report: Report | None = None,
) -> tuple[Grown, Outcome]:
    """As `grow`, and train the rows of the new tokens for `steps` steps on the texts that pieces are learned from and
    on `old` (the built-in ones where empty), at the peak learning rate `rate` (see SHARE where not given). `resume`
    goes on with a training that was stopped. Raises as `grow` and `torch_model.load` do, and Unfinished,
    AlreadyRunning, NothingToResume, AnotherRun, LossNotFinite."""
    states, waiting = _beside(output, STATES), _beside(output, GROWN)
    require_free(output)
    if unfinished(output) and not resume:
        raise Unfinished(path=str(states), output=str(output))
    ended = False
    try:
        with work.opened(states):
            shutil.rmtree(waiting, ignore_errors=True)  # made again as it was: the same text gives the same pieces
            grown = grow(folder, texts, waiting, size, old=old, report=report)
            rows = range(grown.first, grown.first + grown.added)
            outcome, made = _train(waiting, output, rows, texts, old, Wish(steps, rate, resume), states, report)
            ended = True
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
        if ended or not unfinished(output):
            shutil.rmtree(states, ignore_errors=True)
    return replace(grown, output=output, manifest=made), outcome


def _train(
    source: Path,
    output: Path,
    rows: range,
    texts: Sequence[Text],
    old: Sequence[Text],
    wish: Wish,
    states: Path,
    report: Report | None,
) -> tuple[Outcome, Manifest]:
    tell = report or (lambda progress: None)
    tell(Progress(0.0, "loading"))
    loaded = torch_model.load(source)
    context = min(CONTEXT, int(getattr(loaded.model.config, "max_position_embeddings", CONTEXT)))
    both = [*_learned(texts), *(old or builtin(CALIBRATION)[:1])]
    learned = examples(both, loaded.tokenizer, context=context)
    how = Regime(
        steps=wish.steps,
        rate=usual(loaded.model, rows) * SHARE if wish.rate is None else wish.rate,
        warmup=0.05,
        save_every=50,
        patience=0,
    )
    only(loaded.model, rows)
    digests = " ".join(text.digest[:16] for text in both)
    training = Training(loaded.model, learned, how, folder=states, identity={"rows": str(rows), "data": digests})
    if wish.resume:
        training.resume()
    outcome = training.run(tell)
    tell(Progress(1.0, "writing"))
    return outcome, torch_model.save(loaded, output, _step(outcome, how, both))


def usual(model: Any, rows: range) -> float:
    """The root mean square of the embedding's rows before `rows`."""
    return float(model.get_input_embeddings().weight.detach()[: rows.start].float().square().mean().sqrt())


def _learned(texts: Sequence[Text]) -> list[Text]:
    """The texts without the documents that tell how good it is."""
    held = set(divided([document.plain for text in texts for document in text.documents])[1])
    left = (Text(text.name, tuple(each for each in text.documents if each.plain not in held)) for text in texts)
    return [text for text in left if text.documents]


def only(model: Any, rows: range) -> None:
    """Let nothing of `model` be trained but these rows of its embedding and of its head."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    tables = {id(each.weight): each.weight for each in (model.get_input_embeddings(), model.get_output_embeddings())}
    for table in tables.values():
        table.requires_grad_(True)
        table.register_hook(lambda gradient: _within(gradient, rows))


def _within(gradient: Tensor, rows: range) -> Tensor:
    kept = gradient.clone()
    kept[: rows.start] = 0
    kept[rows.stop :] = 0
    return kept


def _step(outcome: Outcome, how: Regime, texts: Sequence[Text]) -> Step:
    state = outcome.state
    found = {
        "ended": outcome.why,
        "steps": state.step,
        "loss": state.losses[-1] if state.losses else None,
        "heldout": state.looks[-1][1] if state.looks else None,
        "seconds": round(state.seconds, 1),
    }
    data = {text.name: text.digest for text in texts}
    return Step("embeddings", asdict(how), how.seed, data, found)
