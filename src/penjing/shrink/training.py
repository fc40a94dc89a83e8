"""The one training loop: fine-tuning, distillation and new vocabularies all learn here.

A step draws `batch` examples, computes them packed in `accumulate` passes, and weighs every learned token the same. The
state is kept on disk every so often; a run that was killed goes on from there with the same losses, since what a step
draws follows from its number alone. It ends after `steps` or `minutes`, or when the held-out loss stops falling.

    Training(model, examples, Regime(steps=300), heldout=..., folder=..., objective=...).run(report)

Does not know: where models and examples come from, what the loss is (an `Objective`), who watches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import InputError, PenjingError
from penjing.files import held, require_room
from penjing.progress import Report, Steps
from penjing.shrink import checkpoints, packing
from penjing.shrink.checkpoints import Checkpoints
from penjing.shrink.optimizer import ADAMW, optimizer
from penjing.shrink.packing import IGNORED, Batch, Example
from penjing.shrink.regime import MATTERS, Regime

if TYPE_CHECKING:
    from torch import Tensor

Objective = Callable[[Any, Batch], "Tensor"]
"""The loss of a model on a batch, summed over its learned positions: a scalar, float32."""

EARLIER = {"optimizer": ADAMW}
"""What runs of earlier versions had, which did not keep it."""
BETTER = 1e-4
"""By how much of itself the held-out loss must fall to count as better."""
SMOOTH = 0.9
"""Weight of the past in the loss that is shown."""


class NothingToLearn(InputError):
    """Facts: none."""

    template = "There is nothing to learn from: no example has a token that is learned."
    hint = "Each example needs an answer (an assistant's turn, or an output)."
    code = "nothing_to_learn"


class LossNotFinite(PenjingError):
    """Facts: `step`, `rate`."""

    template = "At step {step} the loss was no finite number any more (learning rate {rate})."
    hint = "Begin again with a lower --rate, or look for broken examples."
    code = "loss_not_finite"
    exit_code = 3


class AnotherRun(InputError):
    """Facts: `path`, `name`, `before`, `now`."""

    template = "{path} belongs to a run with {name} = {before}; now it is {now}."
    hint = "Resume with the same options and data, or begin a new run in another --output."
    code = "another_run"


@dataclass
class State:
    """Where a run is. `seconds` of computing, `tokens` learned so far, `losses` of each step and `looks` (step, loss on
    what is held out), both in nats a token; `best` is the lowest look, at the step `best_step`, `stale` looks ago."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    losses: list[float] = field(default_factory=list)
    looks: list[tuple[int, float]] = field(default_factory=list)
    best: float = math.inf
    best_step: int = 0
    stale: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its last state, why (`steps`, `minutes`, `stale`) and the step whose weights the model has."""

    state: State
    why: str
    chosen: int


def next_token(model: Any, batch: Batch) -> Tensor:
    """Cross-entropy of the learned tokens, in nats, summed."""
    import torch

    logits = model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits
    wanted = batch.labels != IGNORED
    return torch.nn.functional.cross_entropy(logits[wanted].float(), batch.labels[wanted], reduction="sum")


class Training:
    """Trains the parameters of `model` that require a gradient, in place, on `examples`. Its states go to `folder`
    (nowhere without one). `identity` are facts that a run that goes on must share, data and base model among them."""

    def __init__(
        self,
        model: Any,
        examples: Sequence[Example],
        regime: Regime,
        *,
        objective: Objective = next_token,
        heldout: Sequence[Example] = (),
        folder: Path | None = None,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        import torch

        if not any(example.learned[1:].any() for example in examples):
            raise NothingToLearn
        self.model = model
        self.examples = examples
        # recurrent models carry a state from one packed example into the next
        self.regime = replace(regime, pack=regime.pack and not getattr(model, "_is_stateful", False))
        self.objective = objective
        self.heldout = heldout
        self.checkpoints = Checkpoints(folder, regime.keep) if folder else None
        self.identity = {**(identity or {}), **{name: str(asdict(self.regime)[name]) for name in MATTERS}}
        self.state = State()
        self.trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self.optimizer = optimizer(model, self.trained, regime.optimizer, regime.rate, regime.weight_decay)
        auto = regime.precision == "auto"
        self._bf16 = faster_bf16(self.device.type) if auto else regime.precision == "bf16"
        self._best: dict[str, Tensor] = {}  # where there is no folder
        self._whole = True  # parameters, optimizer and random state belong to `state.step`
        self._random = torch.get_rng_state()
        torch.manual_seed(regime.seed)

    @property
    def device(self) -> Any:
        """Where the batches go: where the trained parameters are."""
        return next(iter(self.trained.values())).device

    def resume(self, path: Path | None = None) -> int:
        """Go on from the newest state, or from the one at `path`; how many steps it has done. Raises NothingToResume,
        CheckpointDamaged, AnotherRun."""
        if path is None:
            if self.checkpoints is None:
                raise checkpoints.NothingToResume(path="-")
            path = self.checkpoints.newest()
        kept = checkpoints.read(path)
        for name, now in self.identity.items():
            before = kept["identity"].get(name, EARLIER.get(name))
            if before != now:
                raise AnotherRun(path=str(path), name=name, before=before, now=now)
        self._put(kept["trained"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.state = State(**kept["state"])
        self.state.looks = [(int(step), loss) for step, loss in self.state.looks]
        self._set_random(kept["random"])
        return self.state.step

    def run(self, report: Report | None = None) -> Outcome:
        """Train until it is done; the model then has the weights of the best look, or the last ones where nothing is
        held out. What `report` raises, and Ctrl-C, stop it; its state is kept. Raises LossNotFinite, DiskFull."""
        tell = report or (lambda progress: None)
        self.model.train()
        self._random = self._get_random()
        begun = self.state.step
        if self.checkpoints is not None:
            weights = sum(each.numel() * each.element_size() for each in self.trained.values())
            folder = self.checkpoints.folder
            require_room(folder, self.regime.room(weights) - held(folder))
        if self.heldout and not self.state.looks:  # what there is to beat
            self._look()
        try:
            while (done := self._done()) < 1 and not self._stale():
                tell(self._told(done, begun))
                self._step(done)
                if self.state.step % self.regime.look_every == 0 and self.heldout:
                    self._look()
                if self.state.step % self.regime.save_every == 0:
                    self.save()
        except BaseException as error:  # whatever stops it (Ctrl-C, no memory), what was computed is kept
            if not isinstance(error, PenjingError) and self.state.step > begun:
                self.save()
            raise
        return self._ended()

    def save(self) -> Path | None:
        """Keep the state now; None where it has no folder, or where it was torn in the middle of an update."""
        if self.checkpoints is None or not self._whole:
            return None
        return self.checkpoints.save(
            self.state.step,
            {
                "identity": self.identity,
                "state": asdict(self.state),
                "trained": self._trained(),
                "optimizer": self.optimizer.state_dict(),
                "random": self._random,
            },
        )

    def look(self) -> float:
        """Loss on what is held out, in nats a token."""
        import torch

        self.model.eval()
        total = learned = 0.0
        with torch.no_grad(), self._precision():
            for batch in packing.looked(self.heldout, self.regime.batch, self.regime.pack):
                if batch.learned:
                    total += float(self.objective(self.model, batch.to(self.device)))
                    learned += batch.learned
        self.model.train()
        return total / max(learned, 1)

    def _step(self, done: float) -> None:
        regime, begun = self.regime, time.monotonic()
        drawn = packing.drawn(self.examples, self.state.step, regime.batch, regime.seed)
        batches = [each for each in packing.passes(drawn, regime.accumulate, regime.pack) if each.learned]
        learned = sum(batch.learned for batch in batches)
        loss = 0.0
        self.optimizer.zero_grad()
        for batch in batches:
            with self._precision():
                part = self.objective(self.model, batch.to(self.device)) / learned
            part.backward()
            loss += float(part.detach())
        if batches:
            self._update(regime.rate_at(done), loss)
        self.state.step += 1
        self.state.tokens += learned
        self.state.losses.append(loss)
        self.state.seconds += time.monotonic() - begun
        self._whole, self._random = True, self._get_random()

    def _update(self, rate: float, loss: float) -> None:
        import torch

        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self.regime.clip)
        if not (math.isfinite(loss) and bool(torch.isfinite(norm))):
            raise LossNotFinite(step=self.state.step, rate=f"{rate:.1e}")
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._whole = False
        self.optimizer.step()

    def _look(self) -> None:
        loss, state = self.look(), self.state
        state.looks.append((state.step, loss))
        if loss < state.best * (1 - BETTER):
            state.best, state.best_step, state.stale = loss, state.step, 0
            if self.checkpoints is not None:
                self.checkpoints.save_best({"step": state.step, "trained": self._trained()})
            else:
                self._best = {name: each.clone() for name, each in self._trained().items()}
        else:
            state.stale += 1

    def _ended(self) -> Outcome:
        state, chosen = self.state, self.state.step
        why = "stale" if self._stale() else "steps" if state.step == self.regime.steps else "minutes"
        if self.heldout and (not state.looks or state.looks[-1][0] != state.step):
            self._look()
        self.save()
        if state.looks and state.stale:
            self._put(self.checkpoints.best()["trained"] if self.checkpoints else self._best)
            chosen = state.best_step
        self.model.eval()
        return Outcome(state, why, chosen)

    def _done(self) -> float:
        return self.regime.done(self.state.step, self.state.seconds)

    def _stale(self) -> bool:
        return 0 < self.regime.patience <= self.state.stale

    def _told(self, done: float, begun: int) -> Steps:
        state, shown = self.state, 0.0
        for loss in state.losses[-50:]:
            shown = SMOOTH * shown + (1 - SMOOTH) * loss if shown else loss
        heldout = state.looks[-1][1] if state.looks else None
        return Steps(done, "training", state.step, self.regime.steps, begun, shown, heldout)

    def _trained(self) -> dict[str, Tensor]:
        return {name: each.detach() for name, each in self.trained.items()}

    def _put(self, kept: Mapping[str, Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, each in self.trained.items():
                each.copy_(kept[name])

    def _precision(self) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(self.device.type, torch.bfloat16) if self._bf16 else nullcontext()

    def _get_random(self) -> list[Tensor]:
        import torch

        return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if self.device.type == "cuda" else ())]

    def _set_random(self, kept: list[Tensor]) -> None:
        import torch

        torch.set_rng_state(kept[0])
        if len(kept) > 1:
            torch.cuda.set_rng_state_all(kept[1:])


def faster_bf16(kind: str) -> bool:
    """Whether matrix products are faster in bfloat16 on a `kind` of device (torch's word). Of processors those with
    AMX: without it the conversion costs what the smaller numbers save."""
    import torch

    from penjing.probe import machine

    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return kind == "cpu" and "AMX" in machine.read(gpus=False).instructions
