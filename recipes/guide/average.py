"""The mean of the weights at the ends of a run's two cycles, which answers better than either.

A run whose rates rise and decay twice ends twice; between the two ends lies a flatter place (Izmailov et al., Averaging
Weights Leads to Wider Optima and Better Generalization, 2018). Knows nothing of how the weights came about.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from recipes.guide.run import write

SHARE = 0.4
"""Of the first end's weights."""


def average(first: dict[str, Any], second: dict[str, Any], share: float) -> dict[str, Any]:
    """A checkpoint with `share` of `first`'s weights and the rest of `second`'s, and the progress of `second`."""
    mean = {
        name: (share * first["model"][name].float() + (1 - share) * weights.float()).to(weights.dtype)
        for name, weights in second["model"].items()
    }
    return {**second, "model": mean}


def minute(checkpoint: dict[str, Any]) -> float:
    """How far the run was, in minutes of computing."""
    return round(float(checkpoint["progress"]["seconds"]) / 60, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=Path, required=True)
    parser.add_argument("--second", type=Path, required=True)
    parser.add_argument("--share", type=float, default=SHARE, help="of the first end's weights")
    parser.add_argument("--run", type=Path, required=True, help="run.json, which notes it")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    first, second = (torch.load(path, weights_only=True) for path in (options.first, options.second))
    write(average(first, second, options.share), options.output)
    facts = json.loads(options.run.read_text(encoding="utf-8"))
    facts["average"] = {"minutes": [minute(first), minute(second)], "share": options.share}
    options.run.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{options.share:.0%} of minute {minute(first)}, the rest of minute {minute(second)} -> {options.output}")


if __name__ == "__main__":
    main()
