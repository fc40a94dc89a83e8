"""One training run: what it is given, its model and optimizers, one step, its checkpoints.

Knows nothing of epochs or of how long to go on; `train.py` does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from recipes.guide.model import Guide, Shape
from recipes.guide.pack import Batch, Writer


@dataclass(frozen=True)
class Plan:
    """Everything a run is given. Rates are peaks; shares are of the whole time."""

    corpus: str
    tokenizer: str
    output: str
    minutes: float
    layers: int = 6
    ffn: int = 768
    rate: float = 2e-3
    matrix_rate: float = 1.2e-2
    weight_decay: float = 0.05
    warmup_share: float = 0.02
    decay_share: float = 0.8
    early_share: float = 0.1  # when the early checkpoint is kept, by which the yardstick shows that it discriminates
    optimizer: str = "muon"
    seed: int = 1
    threads: int = 2
    compile: bool = True


@dataclass
class Progress:
    """Where a run is; saved with every checkpoint. Seconds are of computing (`train.computed`), not of the wall."""

    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    epochs: float = 0.0


class Run:
    """Model, optimizers and progress of one training run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        torch.manual_seed(plan.seed)
        torch.set_num_threads(plan.threads)
        self.folder = Path(plan.output)
        self.folder.mkdir(parents=True, exist_ok=True)
        tokenizer = Tokenizer.from_file(plan.tokenizer + "/tokenizer.json")
        self.writer = Writer(tokenizer)
        self.shape = Shape(vocab=tokenizer.get_vocab_size(), layers=plan.layers, ffn=plan.ffn)
        self.model = Guide(self.shape)
        self.trunk = torch.compile(self.model.model, dynamic=False) if plan.compile else self.model.model
        self.optimizers = optimizers(self.model, plan)
        self.progress = Progress()
        self.history: list[dict[str, Any]] = []  # what each start of this run was given, for the model card

    def save(self) -> None:
        """Write everything that `resume` needs."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": asdict(self.progress),
            "history": self.history,
        }
        write(state, self.folder / "last.pt")

    def keep(self, name: str) -> None:
        """Write the weights as they are now, and how far the run is."""
        write({"model": self.model.state_dict(), "progress": asdict(self.progress)}, self.folder / name)

    def resume(self) -> bool:
        """Go on from the last checkpoint; whether there was one."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            peaks = [group["peak"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["peak"] = peak  # the plan's rates count, not those of the run that was stopped
        self.progress, self.history = Progress(**state["progress"]), state.get("history", [])
        return True

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy in nats over the batch's targets."""
        tokens, positions = torch.from_numpy(batch.tokens), torch.from_numpy(batch.positions)
        labels = torch.from_numpy(batch.labels).reshape(-1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.trunk(tokens, positions, block_causal(torch.from_numpy(batch.documents)))
            chosen = labels >= 0
            logits = self.model.head(hidden.reshape(labels.shape[0], -1)[chosen])
        return functional.cross_entropy(logits.float(), labels[chosen])

    @property
    def done(self) -> float:
        """Share of the time that is spent."""
        return self.progress.seconds / (60 * self.plan.minutes)

    def step(self, batch: Batch) -> float:
        """One update; the batch's loss before it."""
        scale = schedule(self.done, self.plan)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * scale
        loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())


def block_causal(documents: Tensor) -> Tensor:
    """Mask [rows, 1, time, time]: a token sees the earlier tokens of its own document."""
    time_ = documents.shape[1]
    same = documents[:, :, None] == documents[:, None, :]
    return (same & torch.ones(time_, time_, dtype=torch.bool).tril()).unsqueeze(1)


def optimizers(model: torch.nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks and AdamW for the rest (norms, the embedding, a head), or AdamW for all."""
    inner = {n for n, p in model.named_parameters() if p.ndim == 2 and "layers." in n}
    matrices = [p for n, p in model.named_parameters() if n in inner]
    rest = [p for n, p in model.named_parameters() if n not in inner]
    if plan.optimizer == "muon":
        made: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=plan.matrix_rate, weight_decay=plan.weight_decay, momentum=0.95),
            torch.optim.AdamW(rest, lr=plan.rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        ]
    else:
        groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        made = [torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.95), fused=True)]
    for optimizer in made:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return made


def schedule(done: float, plan: Plan) -> float:
    """Share of the peak rate after `done` of the time: linear warm-up, constant, linear decay to zero."""
    if done < plan.warmup_share:
        return done / plan.warmup_share + 0.01
    return max(0.0, min(1.0, (1.0 - done) / plan.decay_share))


def write(state: dict[str, Any], path: Path) -> None:
    """Save under a temporary name, then rename: a kill never leaves half a checkpoint."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)
