"""Train the guide for a given time on whatever machine this is.

The schedule follows the clock, not a step count: warm-up, a long constant rate, then a decay that ends exactly when the
time is spent, so that a slow or busy machine still ends with a finished model. A killed run resumes from its last
checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from recipes.guide.model import Guide, Shape
from recipes.guide.pack import Batch, Conversation, Mix, Writer, batches, collate, load


@dataclass(frozen=True)
class Plan:
    """Everything a run is given. Rates are peaks; shares are of the whole time."""

    corpus: str
    tokenizer: str
    output: str
    minutes: float
    layers: int = 6
    ffn: int = 768
    rate: float = 3e-3
    matrix_rate: float = 2e-2
    weight_decay: float = 0.05
    warmup_share: float = 0.02
    decay_share: float = 0.35
    optimizer: str = "muon"
    seed: int = 1
    threads: int = 2
    compile: bool = True


@dataclass
class Progress:
    """Where a run is; saved with every checkpoint."""

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

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": asdict(self.progress),
            "plan": asdict(self.plan),
        }
        write(state, self.folder / "last.pt")

    def resume(self) -> bool:
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])
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

    def step(self, batch: Batch) -> float:
        scale = schedule(self.progress.seconds / (60 * self.plan.minutes), self.plan)
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


def optimizers(model: Guide, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks and AdamW for the embedding and norms, or AdamW for all."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
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


def machine() -> dict[str, Any]:
    """What this run trains on, without naming the host."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        features = next(line for line in lines if line.startswith("flags"))
        name += " with AMX" if "amx_bf16" in features else ""
    except (OSError, StopIteration):
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {"processor": name, "cores": os.cpu_count(), "memory_gib": round(memory / 2**30), "accelerator": None}


def heldout_loss(run: Run, conversations: list[Conversation]) -> float:
    """Mean loss over held-out conversations, one a row."""
    documents = [run.writer.document(c, thinking=False) for c in conversations]
    rows = [[d] for d in documents if len(d.ids) <= 256][:192]
    with torch.no_grad():
        losses = [float(run.loss(collate(rows[i : i + 32], 256, run.writer.pad))) for i in range(0, len(rows) - 31, 32)]
    return sum(losses) / max(1, len(losses))


def answer(run: Run, conversation: Conversation, limit: int = 60) -> tuple[str, str]:
    """The question and the greedy answer to it, by plain recomputation (short samples only)."""
    document = run.writer.document(conversation, thinking=False)
    start = len(document.ids) - 2 - len(conversation.messages[-1].text)
    ids = document.ids[:start]
    with torch.no_grad():
        for _ in range(limit):
            following = int(run.model(torch.tensor([ids]))[0, -1].argmax())
            if following == run.writer.end:
                break
            ids.append(following)
    decode = run.writer.tokenizer.decode
    return decode(conversation.messages[-2].text), decode(ids[start:])


def stream(run: Run, conversations: list[Conversation]) -> Iterator[tuple[Batch, float]]:
    """Batches for ever, with the number of epochs done; every epoch is packed anew."""
    epoch = int(run.progress.epochs)
    while True:
        plan = list(batches(conversations, run.writer, Mix(), run.plan.seed * 1000 + epoch))
        for i, batch in enumerate(plan):
            yield batch, epoch + (i + 1) / len(plan)
        epoch += 1


def report(run: Run, loss: float, speed: float) -> None:
    p, left = run.progress, 60 * run.plan.minutes - run.progress.seconds
    print(
        f"{p.seconds / 60:6.1f} min  step {p.steps:6d}  epoch {p.epochs:6.2f}  {p.tokens / 1e6:7.2f} M tokens  "
        f"loss {loss:.4f}  {speed:7.0f} tok/s  left {left / 60:5.1f} min",
        flush=True,
    )


def look(run: Run, heldout: list[Conversation]) -> None:
    """Print held-out loss and a few answers."""
    loss = heldout_loss(run, heldout)
    print(f"  held-out loss {loss:.4f}, perplexity {math.exp(min(loss, 20)):.3f}", flush=True)
    stride = max(1, len(heldout) // 5)
    for conversation in heldout[run.progress.steps % stride :: stride][:5]:
        question, reply = answer(run, conversation)
        print(f"  ? {question!r}\n  > {reply!r}", flush=True)


def train(run: Run, conversations: list[Conversation], heldout: list[Conversation]) -> None:
    """Until the time is spent; checkpoints every 3 minutes, samples every 10."""
    p, smooth = run.progress, 0.0
    marks, tokens_before = dict.fromkeys(("report", "save", "look"), p.seconds), p.tokens
    clock = time.perf_counter()
    for batch, epochs in stream(run, conversations):
        loss = run.step(batch)
        smooth = loss if smooth == 0.0 else 0.97 * smooth + 0.03 * loss
        if p.epochs < 1 <= epochs:
            write({"model": run.model.state_dict(), "progress": asdict(p)}, run.folder / "epoch1.pt")
        p.seconds, clock = p.seconds + time.perf_counter() - clock, time.perf_counter()
        p.steps, p.tokens, p.epochs = p.steps + 1, p.tokens + int((batch.documents >= 0).sum()), epochs
        if p.seconds - marks["report"] > 15:
            report(run, smooth, (p.tokens - tokens_before) / (p.seconds - marks["report"]))
            marks["report"], tokens_before = p.seconds, p.tokens
        if p.seconds - marks["save"] > 180:
            run.save()
            marks["save"] = p.seconds
        if p.seconds - marks["look"] > 600:
            look(run, heldout)
            marks["look"] = p.seconds
        if p.seconds >= 60 * run.plan.minutes:
            break


def finish(run: Run, heldout: list[Conversation]) -> None:
    """Write the trained weights and what is known of the run."""
    look(run, heldout)
    write({"model": run.model.state_dict(), "progress": asdict(run.progress)}, run.folder / "final.pt")
    facts = {
        "machine": machine(),
        "torch": torch.__version__,
        "parameters": run.model.parameters_total,
        "shape": run.shape.as_dict(),
        "plan": {k: v for k, v in asdict(run.plan).items() if k not in ("corpus", "tokenizer", "output")},
        "progress": asdict(run.progress),
    }
    (run.folder / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--corpus", default="build/guide/corpus")
    parser.add_argument("--tokenizer", default="build/guide/tokenizer")
    parser.add_argument("--output", default="build/guide/run")
    parser.add_argument("--minutes", type=float, default=80)
    for name in ("layers", "ffn", "threads", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan, name))
    for name in ("rate", "matrix_rate", "decay_share"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Plan, name))
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default=Plan.optimizer)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    run = Run(Plan(**vars(parser.parse_args())))
    print("resumed" if run.resume() else "new run", asdict(run.plan), f"{run.model.parameters_total:,} parameters")
    folder = Path(run.plan.corpus)
    conversations = [c for name in ("train", "calls") for c in load(folder / f"{name}.jsonl", run.writer)]
    heldout = load(folder / "heldout.jsonl", run.writer)
    print(f"{len(conversations)} conversations, {len(heldout)} held out", flush=True)
    train(run, conversations, heldout)
    finish(run, heldout)


if __name__ == "__main__":
    main()
