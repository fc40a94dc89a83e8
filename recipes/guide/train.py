"""Train the guide for a given time on whatever machine this is.

The schedule follows a clock, not a step count: warm-up, a long constant rate, then a decay that ends exactly when the
time is spent, so that a slow machine still ends with a finished model. The clock counts minutes of computing, that is
processor time over threads: beside other programs, or stopped for a while, a run takes longer but learns as much. A
killed run resumes from its last checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from recipes.guide.machine import machine
from recipes.guide.pack import Batch, Conversation, Mix, batches, load
from recipes.guide.run import Plan, Run
from recipes.guide.watch import look, report

TEACHING = ("train", "calls")
"""Files of a corpus that are learned from."""


def stream(run: Run, conversations: list[Conversation]) -> Iterator[tuple[Batch, float]]:
    """Batches for ever, with the epochs done; every epoch is packed anew, a resumed one goes on where it was."""
    epoch, begun = divmod(run.progress.epochs, 1)
    while True:
        plan = list(batches(conversations, run.writer, Mix(), run.plan.seed * 1000 + int(epoch)))
        for i in range(round(begun * len(plan)), len(plan)):
            yield plan[i], epoch + (i + 1) / len(plan)
        epoch, begun = epoch + 1, 0.0


def computed(threads: int) -> float:
    """Seconds for which this process has computed on all of its threads; stands still while the process does."""
    return time.process_time() / threads


def train(run: Run, conversations: list[Conversation], heldout: list[Conversation]) -> None:
    """Until the time is spent; a checkpoint every 3 minutes, samples every 10."""
    p, smooth = run.progress, 0.0
    marks, tokens_before = dict.fromkeys(("report", "save", "look"), p.seconds), p.tokens
    clock = computed(run.plan.threads)
    for batch, epochs in stream(run, conversations):
        loss, before, first = run.step(batch), run.done, p.epochs < 1
        smooth = loss if smooth == 0.0 else 0.97 * smooth + 0.03 * loss
        now = computed(run.plan.threads)
        p.seconds, clock = p.seconds + now - clock, now
        p.steps, p.tokens, p.epochs = p.steps + 1, p.tokens + int((batch.documents >= 0).sum()), epochs
        if before < run.plan.early_share <= run.done:
            run.keep("early.pt")
        if first and epochs >= 1:
            run.keep("epoch1.pt")
        if p.seconds - marks["report"] > 15:
            report(run, smooth, (p.tokens - tokens_before) / (p.seconds - marks["report"]))
            marks["report"], tokens_before = p.seconds, p.tokens
        if p.seconds - marks["save"] > 180:
            run.save()
            marks["save"] = p.seconds
        if p.seconds - marks["look"] > 600:
            look(run, heldout)
            marks["look"] = p.seconds
        if run.done >= 1:
            break


def start(run: Run, corpus: Path) -> dict[str, Any]:
    """What this start of the run was given, and when."""
    digest = hashlib.sha256(b"".join((corpus / f"{name}.jsonl").read_bytes() for name in TEACHING)).hexdigest()
    given = {name: asdict(run.plan)[name] for name in ("rate", "matrix_rate", "decay_share")}
    return {"minute": round(run.progress.seconds / 60, 1), **given, "corpus_sha256": digest}


def finish(run: Run, heldout: list[Conversation], name: str) -> None:
    """Write the trained weights and what is known of the run."""
    look(run, heldout)
    run.save()
    run.keep(name)
    facts = {
        "machine": machine(),
        "torch": torch.__version__,
        "parameters": run.model.parameters_total,
        "shape": run.shape.as_dict(),
        "plan": {k: v for k, v in asdict(run.plan).items() if k not in ("corpus", "tokenizer", "output")},
        "progress": asdict(run.progress),
        "history": run.history,
    }
    (run.folder / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--corpus", default="build/guide/corpus")
    parser.add_argument("--tokenizer", default="build/guide/tokenizer")
    parser.add_argument("--output", default="build/guide/run")
    parser.add_argument("--minutes", type=float, default=80, help="of computing on all threads")
    for name in ("layers", "ffn", "threads", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan, name))
    for name in ("rate", "matrix_rate", "decay_share"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Plan, name))
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default=Plan.optimizer)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--end", default="final.pt", help="name of the weights at the end")
    options = vars(parser.parse_args())
    end = options.pop("end")
    if (Path(options["output"]) / end).exists():
        print(f"{end} is there already")
        return
    run = Run(Plan(**options))
    print("resumed" if run.resume() else "new run", asdict(run.plan), f"{run.model.parameters_total:,} parameters")
    folder = Path(run.plan.corpus)
    run.history.append(start(run, folder))
    conversations = [c for name in TEACHING for c in load(folder / f"{name}.jsonl", run.writer)]
    heldout = load(folder / "heldout.jsonl", run.writer)
    print(f"{len(conversations)} conversations, {len(heldout)} held out", flush=True)
    train(run, conversations, heldout)
    finish(run, heldout, end)


if __name__ == "__main__":
    main()
