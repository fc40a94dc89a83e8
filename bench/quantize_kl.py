"""What a model loses at equal bytes: penjing's budget beside llama-quantize's mixtures and AutoRound's GGUF files.

    python bench/quantize_kl.py [CHECKPOINT ...] [--folder DIR] [--autoround] [--write]

Without a CHECKPOINT, and for the word `guide`, the built-in guide; a folder of `second_model.py` brings its own held-
out text. All sides are calibrated on the same text, all are judged by KL(16-bit model || file) on the engine, over
held-out text that nobody was calibrated on. Peers: llama-quantize's mixtures (the same types, and ggml's own rounding
with the importance matrix) and AutoRound at 200 iterations (`autoround_peer.py`, which needs torch; its files in
--folder are used again). At each level the best peer that is no larger than the mixture nearest to it counts; penjing
gets exactly that many bytes.

Figures are means over five folds of the held-out text; the ratio is told with its smallest and largest fold.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import page
from penjing.export.gguf.convert import convert
from penjing.files import human
from penjing.probe import single
from penjing.progress import Progress, Report
from penjing.shrink.quantize.budget import fit
from penjing.shrink.quantize.calibration import calibration
from penjing.shrink.quantize.collect import collect
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.judge import Judge
from penjing.shrink.quantize.write import quantize
from penjing.shrink.texts.known import builtin, texts
from penjing.shrink.texts.text import Text
from penjing.shrink.texts.windows import Windows
from penjing.store.resolve import guide

LEVELS = (3.0, 4.0, 5.0)
PRESETS = (
    "Q2_K_S", "Q2_K", "Q3_K_S", "IQ3_S", "Q3_K_M", "Q3_K_L", "IQ4_XS", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K",
)  # fmt: skip
SCHEMES = ("q2_k_s", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m", "q5_k_m")
FOLDS = 5
CALIBRATED = 48
"""Windows of 512 tokens."""
HELD = 24
HEADINGS = {
    "en": "### KL at equal bytes\n\n`bench/quantize_kl.py` on {cpu}, {cores} cores. KL(16-bit model ‖ file) in nats a "
    "token of held-out text (all of them, as llama-perplexity does), {calibrated} windows of 512 tokens of calibration "
    "text for every side; the ratio with its smallest and largest of five folds of the held-out text. Peers: "
    "{peers}. Goal: at most 0.7.",
    "zh": "### 相同大小下的 KL\n\n`bench/quantize_kl.py`，{cpu}，{cores} 核。在保留文本上的 KL(16 位模型 ‖ 文件)，"
    "单位为每词元奈特（与 llama-perplexity 一样计入所有词元）；"
    "各方都用同样的 {calibrated} 段（每段 512 词元）校准文本；"
    "比值附五折保留文本中的最小值和最大值。同类：{peers}。目标：不超过 0.7。",
}
HEADS = {
    "en": "| model | size | bits a weight | best peer | its KL | penjing's KL | ratio |\n|---|--:|--:|---|--:|--:|--:|",
    "zh": "| 模型 | 大小 | 每权重位数 | 最佳同类 | 其 KL | penjing 的 KL | 比值 |\n|---|--:|--:|---|--:|--:|--:|",
}


@dataclass(frozen=True)
class Point:
    """A file: its bytes, bits a weight, and KL of each scored token."""

    name: str
    bytes: int
    bits: float
    kl: NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """A model: its checkpoint, the 16-bit file, and what it is calibrated on and judged by."""

    name: str
    checkpoint: Path
    file: Path
    calibration: Windows
    held: Windows


def subject(checkpoint: Path | None, folder: Path) -> Subject:
    """The guide is judged by its yardstick, another model by the `heldout.txt` beside it."""
    place = checkpoint or guide().parent
    name = place.name
    file = folder / f"{name}-16.gguf"
    if not file.exists():
        convert(place, file, 16)
    held: Sequence[Text] = builtin("yardstick") if checkpoint is None else texts(str(place / "heldout.txt"))
    # from another end than calibration, which is other text anyway
    return Subject(name, place, file, calibration(file, most=CALIBRATED), calibration(file, held, most=HELD))


def plain(importance: Importance) -> Importance:
    """What llama-imatrix would know of it: squares, no products."""
    columns = {name: dataclasses.replace(each, products=None) for name, each in importance.columns.items()}
    return dataclasses.replace(importance, columns=columns)


def measured(judge: Judge, name: str, path: Path) -> Point:
    """Measured once: a bench that was stopped goes on."""
    kept = path.with_suffix(".npy")
    if not kept.exists():
        np.save(kept, judge.each(path))
    model = single.read(path)
    weights = sum(tensor.elements for tensor in model.tensors)
    point = Point(name, path.stat().st_size, model.bytes * 8 / weights, np.load(kept))
    print(f"{name:16} {human(point.bytes):>9} {point.bits:5.2f} bits  KL {point.kl.mean():.6f}", flush=True)
    return point


def peers(one: Subject, judge: Judge, importance: Importance, folder: Path, autoround: bool) -> list[Point]:
    """All of them, measured."""
    found = []
    for preset in PRESETS:
        path = folder / f"{one.name}-{preset}.gguf"
        if not path.exists():
            quantize(one.file, path, preset, importance=plain(importance))
        found.append(measured(judge, preset, path))
    for scheme in SCHEMES:
        path = folder / f"{one.name}-autoround-{scheme}.gguf"
        if autoround and not path.exists():
            script = Path(__file__).with_name("autoround_peer.py")
            np.save(folder / "calibration.npy", one.calibration.tokens)
            command = [
                sys.executable,
                str(script),
                str(one.checkpoint),
                scheme,
                str(folder / "calibration.npy"),
                str(path),
            ]
            subprocess.run(command, check=False)
        if path.exists():
            found.append(measured(judge, f"AutoRound {scheme}", path))
    return found


def rows(one: Subject, folder: Path, autoround: bool) -> list[str]:
    """The table's rows for a model."""
    importance = collect(one.file, one.calibration.tokens, products=True, report=stages())
    found = []
    with Judge(one.file, one.held, most=HELD) as judge:
        others = peers(one, judge, importance, folder, autoround)
        for level in LEVELS:
            size = min(others, key=lambda point: abs(point.bits - level)).bytes
            best = min((point for point in others if point.bytes <= size), key=lambda point: float(point.kl.mean()))
            path = folder / f"{one.name}-ours-{level:g}.gguf"
            if not path.exists():
                fit(one.file, path, size, one.calibration, importance=importance, report=stages())
            ours = measured(judge, f"penjing {level:g}", path)
            found.append(row(one.name, best, ours))
            print(found[-1], flush=True)
    return found


def row(name: str, best: Point, ours: Point) -> str:
    """One row; the same in both languages."""
    folds = [
        float(a.mean() / b.mean())
        for a, b in zip(np.array_split(ours.kl, FOLDS), np.array_split(best.kl, FOLDS), strict=True)
    ]
    ratio = f"{ours.kl.mean() / best.kl.mean():.2f} ({min(folds):.2f}–{max(folds):.2f})"
    return (
        f"| {name} | {human(ours.bytes)} | {ours.bits:.2f} | {best.name} ({human(best.bytes)}) | {best.kl.mean():.5f} "
        f"| {ours.kl.mean():.5f} | {ratio} |"
    )


def stages() -> Report:
    last = ""

    def tell(progress: Progress) -> None:
        nonlocal last
        if progress.stage != last:
            last = progress.stage
            print(f"  {last} ...", flush=True)

    return tell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", default=["guide"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "penjing-quantize-kl")
    parser.add_argument("--autoround", action="store_true", help="make AutoRound's files that are not in --folder")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    if options.autoround and importlib.util.find_spec("auto_round") is None:
        parser.error("--autoround needs AutoRound's own program: pip install auto-round")
    options.folder.mkdir(parents=True, exist_ok=True)
    table = []
    for checkpoint in options.checkpoints:
        place = None if checkpoint == "guide" else Path(checkpoint)
        table += rows(subject(place, options.folder), options.folder, options.autoround)
    if options.write:
        made = [scheme for scheme in SCHEMES if list(options.folder.glob(f"*-autoround-{scheme}.gguf"))]
        named = [*PRESETS, *(f"AutoRound {scheme}" for scheme in made)]
        facts = {**page.machine(), "calibrated": CALIBRATED, "peers": ", ".join(named)}
        page.write(
            "bench/quantize_kl.py",
            {each: "\n".join([HEADINGS[each].format(**facts), "", HEADS[each], *table]) for each in HEADINGS},
            "quantize",
        )


if __name__ == "__main__":
    main()
