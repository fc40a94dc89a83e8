"""What learned rounding brings at equal bytes: KL on held-out text of the built-in model, before and after.

    python bench/rounding.py [ITERATIONS [PRESET ...]]

Each preset is rounded with errors carried over and plainly, then learned. Needs the extra `shrink`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from penjing.export.gguf.convert import convert, layout
from penjing.shrink.evaluate.run import evaluate
from penjing.shrink.qat.rounding import Rounding, learned
from penjing.shrink.quantize import quantize
from penjing.shrink.quantize.calibration import calibration
from penjing.shrink.quantize.collect import collect
from penjing.shrink.texts.known import texts
from penjing.store.resolve import guide

WINDOWS, HELD_OUT, MOST, LENGTH = 32, 8, 128, 128


def kl(path: Path, whole: Path) -> float:
    """Nats a token on the held-out texts."""
    found = evaluate(path, whole, texts=list(texts("heldout")), most_windows=HELD_OUT).text
    assert found is not None
    assert found.against is not None
    return found.against.kl.value


def main() -> None:
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    how = Rounding(iterations=iterations, length=LENGTH, most=MOST)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = folder / "whole.gguf"
        convert(guide().parent, whole, 16)
        windows = calibration(whole, most=WINDOWS)
        print("| preset | rounding | bytes | KL before | KL learned | ratio | seconds |")
        for products, begun in ((True, "feedback"), (False, "plain")):
            importance = collect(whole, windows.tokens, products=products)
            for preset in sys.argv[2:] or ["Q3_K_S", "Q2_K"]:
                start, output = folder / f"{preset}-{begun}.gguf", folder / f"{preset}-{begun}-learned.gguf"
                quantize(whole, start, preset, importance=importance)
                before = time.monotonic()
                learned(guide().parent, start, windows.tokens, output, how, layout=layout)
                took = time.monotonic() - before
                one, other = kl(start, whole), kl(output, whole)
                size = output.stat().st_size
                print(f"| {preset} | {begun} | {size} | {one:.4f} | {other:.4f} | {other / one:.2f} | {took:.0f} |")


if __name__ == "__main__":
    main()
