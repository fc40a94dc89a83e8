"""What learned rounding brings at equal bytes: KL on held-out text of the built-in model, before and after.

    .venv-all/bin/python bench/rounding.py [PRESET ...] [--iterations 100] [--write]

Each preset is rounded with errors carried over and plainly, then learned (SignRound, as AutoRound's program does from
plain rounding).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import page
from penjing.export.gguf.convert import convert, layout
from penjing.shrink.evaluate.run import evaluate
from penjing.shrink.qat.rounding import Rounding, learned
from penjing.shrink.quantize import quantize
from penjing.shrink.quantize.calibration import calibration
from penjing.shrink.quantize.collect import collect
from penjing.shrink.texts.known import texts
from penjing.store.resolve import guide

WINDOWS, HELD_OUT, MOST, LENGTH = 32, 8, 128, 128
BEGUN = {"feedback": {"en": "errors carried over", "zh": "误差补偿"}, "plain": {"en": "plain", "zh": "普通舍入"}}
SAID = {
    "en": "`bench/rounding.py` on {cpu}: the built-in model, {iterations} iterations on {tokens} tokens, KL from the "
    "16-bit model in nats a token of {windows} held-out windows for each language; one run, the same bytes before and "
    "after; seconds of a processor core.\n\n| preset | begun with | KL rounded | KL learned | ratio | core seconds |\n"
    "|---|---|--:|--:|--:|--:|",
    "zh": "`bench/rounding.py`，{cpu}：内置模型，在 {tokens} 个词元上 {iterations} 步；KL 为每种语言 {windows} 个"
    "留出窗口上与 16 位模型的差距，单位为每词元奈特；一次运行，前后字节数相同；时间为单核处理器秒数。\n\n"
    "| 预设 | 起点 | 舍入后 KL | 学习后 KL | 比值 | 核秒 |\n|---|---|--:|--:|--:|--:|",
}


def kl(path: Path, whole: Path) -> float:
    """Nats a token on the held-out texts."""
    found = evaluate(path, whole, texts=list(texts("heldout")), most_windows=HELD_OUT).text
    assert found is not None
    assert found.against is not None
    return found.against.kl.value


def rows(folder: Path, presets: Sequence[str], how: Rounding) -> Iterator[tuple[str, str, str]]:
    """Preset, what it began with, and the figures as columns."""
    whole = folder / "whole.gguf"
    convert(guide().parent, whole, 16)
    windows = calibration(whole, most=WINDOWS)
    for begun in BEGUN:
        importance = collect(whole, windows.tokens, products=begun == "feedback")
        for preset in presets:
            start, output = folder / f"{preset}-{begun}.gguf", folder / f"{preset}-{begun}-learned.gguf"
            quantize(whole, start, preset, importance=importance)
            before = time.process_time()
            learned(guide().parent, start, windows.tokens, output, how, layout=layout)
            took = time.process_time() - before
            one, other = kl(start, whole), kl(output, whole)
            assert output.stat().st_size == start.stat().st_size
            yield preset, begun, f"{one:.4f} | {other:.4f} | {other / one:.2f} | {took:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["Q3_K_S", "Q2_K"])
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="put the table into docs/en and docs/zh")
    given = parser.parse_args()
    how = Rounding(iterations=given.iterations, length=LENGTH, most=MOST)
    facts = {"iterations": given.iterations, "tokens": MOST * LENGTH, "windows": HELD_OUT, **page.machine()}
    texts_of = {language: [head.format(**facts)] for language, head in SAID.items()}
    with tempfile.TemporaryDirectory() as name:
        for preset, begun, figures in rows(Path(name), given.presets, how):
            for language, lines in texts_of.items():
                lines.append(f"| {preset} | {BEGUN[begun][language]} | {figures} |")
            print(texts_of["en"][-1], flush=True)
    if given.write:
        page.write("rounding.py", {language: "\n".join(lines) for language, lines in texts_of.items()}, "quantize")


if __name__ == "__main__":
    main()
