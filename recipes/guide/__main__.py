"""Make the guide from its facts: corpus, tokenizer, training, export, evaluation, card. `make guide` runs this.

Every step is its own program and reads what the one before wrote, so each can be repeated alone; this one only puts
them in order.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build/guide"
DATA = ROOT / "src/penjing/data/guide"
FIRST_CYCLE = 0.73
"""Of the time: then the rates have decayed once, and rise again to a third of their peak."""
# Threads that sleep while they wait: beside other programs, spinning ones cost training more than half its speed.
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}


def steps(minutes: float, target: Path) -> list[list[str]]:
    """The programs in order, each with its arguments. Only the last writes to `target`."""
    corpus, tokenizer, run, ready = (str(BUILD / name) for name in ("corpus", "tokenizer", "run", "ready"))
    quality, yardstick = str(BUILD / "quality.json"), f"{corpus}/heldout.jsonl"
    final, early = f"{run}/final.pt", [f"{run}/early.pt", f"{run}/epoch1.pt"]
    training = ["train", "--corpus", corpus, "--tokenizer", tokenizer, "--output", run]
    ends = [f"{run}/first.pt", f"{run}/second.pt"]
    judged = ["--heldout", yardstick, "--tokenizer", tokenizer, "--output", quality]
    return [
        ["corpus", "--output", corpus],
        ["calls", "--corpus", corpus],
        ["tokenizer", "--corpus", corpus, "--output", tokenizer],
        [*training, "--minutes", f"{FIRST_CYCLE * minutes:.1f}", "--end", "first.pt"],
        [*training, "--minutes", str(minutes), "--end", "second.pt"],
        ["average", "--first", ends[0], "--second", ends[1], "--run", f"{run}/run.json", "--output", final],
        ["export", "--checkpoint", final, "--tokenizer", tokenizer, "--output", ready],
        ["evaluate", "--model", f"{ready}/guide.gguf", "--checkpoint", final, "--early", *early, *judged],
        ["card", "--run", f"{run}/run.json", "--quality", quality, "--yardstick", yardstick, "--folder", ready],
        ["publish", "--ready", ready, "--output", str(target)],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make guide", description=__doc__)
    minutes = "how long to train, in minutes of computing on all threads: a busy machine takes longer (90)"
    parser.add_argument("--minutes", type=float, default=90, help=minutes)
    parser.add_argument("--resume", action="store_true", help="go on with the corpus, tokenizer and run of last time")
    parser.add_argument("--output", type=Path, default=DATA, help="where the finished model goes (into the package)")
    options = parser.parse_args()
    todo = steps(options.minutes, options.output)
    if options.resume:
        todo = todo[3:]
    else:
        shutil.rmtree(BUILD / "run", ignore_errors=True)
    for step in todo:
        print(f"== {step[0]}", flush=True)
        program = [sys.executable, "-m", f"recipes.guide.{step[0]}", *step[1:]]
        done = subprocess.run(program, cwd=ROOT, env={**ENVIRONMENT, **os.environ}, check=False)
        if done.returncode:
            sys.exit(f"{step[0]} failed; after fixing it, `make guide ARGS=--resume` goes on from training")


if __name__ == "__main__":
    main()
