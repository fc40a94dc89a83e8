"""What shrinking comes to: sizes, points lost on two yardsticks, and a 13B shape end to end.

    python bench/shrink.py [--second FOLDER] [--work DIR] [--shape llama-13b] [--write]

Yardstick models: the built-in guide on its held-out questions, and with `--second` the model of `second_model` (it is
made under FOLDER where it is not there, which needs torch). Of each the best file of 29 % and of 20 % of its size in
f16, by `quantize.budget.fit` with the built-in calibration text, and the points it loses, paired, with 95 % intervals.
What was measured is kept in DIR/figures.json: parts can be measured one by one (`--only`) and written together.

The 13B shape has a 26 GB source of f16 that lies on disk as holes, but for some rows of each tensor: enough to see
what memory and disk it takes. Its types are those that fit 20 % of f16 with no measurement (a model of this size would
have to run for that); what is looked at is that every step works, the file's size, and the highest resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import page
import shapes
from penjing.export.gguf.convert import convert
from penjing.probe import single
from penjing.shrink.evaluate.quality import Estimate
from penjing.shrink.evaluate.run import evaluate
from penjing.shrink.evaluate.tasks import Task, task
from penjing.shrink.quantize.budget import fit, least_bytes
from penjing.shrink.quantize.calibration import calibration
from second_model import second_model

SHARES = {"4 bits": 0.29, "20 %": 0.20}
"""Bytes of the file for each of the same model in f16."""
GOALS = {"4 bits": 0.5, "20 %": 2.0}
"""Points that may be lost."""
QUESTIONS = 1200
FILLED = 64
"""Rows of a tensor of the large shape that are no hole."""
PRESETS = ("Q3_K_M", "Q3_K_S", "Q2_K", "Q2_K_S")
WORDS = {
    "en": {
        "heads": (
            "model",
            "file",
            "of f16",
            "bits a weight",
            "right before",
            "right now",
            "points lost (95 %)",
            "goal",
        ),
        "shape": "{shape} shape: {source} of f16 (holes but for {rows} rows of each tensor) to {size} as {kind}, "
        "{share:.1%} of it, in {minutes:.0f} minutes beside other programs, with at most {memory} resident "
        "(goals: 20 %, 3 GB). Its weights are random, so this says that it works, not how well the model answers.",
        "head": "{cpu}, {cores} cores, {date}, `bench/shrink.py`. Whole files, vocabulary included.",
    },
    "zh": {
        "heads": ("模型", "文件", "占 f16", "每权重位数", "此前答对", "现在答对", "损失的百分点（95 %）", "目标"),
        "shape": "{shape} 形状：{source} 的 f16（除每个张量的 {rows} 行外均为空洞）量化为 {kind}，得到 {size}，"
        "占 {share:.1%}，与其他程序同时运行用时 {minutes:.0f} 分钟，常驻内存最多 {memory}（目标：20 %，3 GB）。"
        "其权重是随机的：这只说明能做到，并不说明模型答得如何。",
        "head": "{cpu}，{cores} 核，{date}，`bench/shrink.py`。整个文件，含词表。",
    },
}


@dataclass(frozen=True)
class Row:
    """One file of one model. `lost` in points with its interval."""

    model: str
    wish: str
    bytes: int
    share: float
    bits: float
    before: float
    after: float
    lost: tuple[float, float, float]


def yardsticks(second: Path | None) -> dict[str, tuple[Path, Task]]:
    """Checkpoint folder and questions by name."""
    found: dict[str, tuple[Path, Task]] = {
        "guide": (Path(str(resources.files("penjing"))) / "data" / "guide", task("yardstick", QUESTIONS)[0])
    }
    if second is not None:
        made = second_model(second)
        found["second"] = (made.folder, made.task)
    return found


def rows(name: str, folder: Path, asked: Task, work: Path) -> list[Row]:
    """Made where they are not there; measured anew."""
    source = work / f"{name}-f16.gguf"
    if not source.exists():
        convert(folder, source)
    whole, windows, found = source.stat().st_size, calibration(source), []
    for wish, share in SHARES.items():
        target = work / f"{name}-{share:.2f}.gguf"
        if not target.exists():
            fit(source, target, int(share * whole), windows)
        quality = evaluate(target, source, texts=(), tasks=[asked])
        points = quality.tasks[0]
        gap = points.lost or Estimate(0.0, 0.0, 0.0)  # there is a parent
        lost = (100 * gap.value, 100 * gap.low, 100 * gap.high)
        size = target.stat().st_size
        before, after = points.parent_accuracy or 0.0, points.accuracy.value
        found.append(Row(name, wish, size, size / whole, quality.bits_per_weight, before, after, lost))
        print(json.dumps(asdict(found[-1])), flush=True)
    return found


def large(shape: str, work: Path) -> dict[str, Any]:
    """The 13B shape through quantization, in a process of its own whose memory is looked at."""
    source = shapes.write(shape, "F16", work, hollow=True)
    fill(source)
    size, held = source.stat().st_size, source.stat().st_blocks * 512
    model = single.read(source)
    target = work / f"{shape}-20.gguf"
    target.unlink(missing_ok=True)
    kind = next(kind for kind in PRESETS if expected(source, kind) <= 0.2 * size)
    sizes = [f"{count / 1e9:.2f} GB" for count in (size, held, least_bytes(model))]
    print("{}: {}, of which {} on disk; the smallest possible file is {}".format(shape, *sizes), flush=True)
    code = (
        "import resource, sys; from pathlib import Path; from penjing.shrink.quantize import quantize\n"
        "quantize(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    begun = time.monotonic()
    command = [sys.executable, "-c", code, str(source), str(target), kind]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    found = {
        "shape": shape,
        "kind": kind,
        "source": size,
        "bytes": target.stat().st_size,
        "share": target.stat().st_size / size,
        "memory": int(done.stdout),
        "minutes": (time.monotonic() - begun) / 60,
    }
    single.read(target)
    target.unlink()
    source.unlink()
    print(json.dumps(found), flush=True)
    return found


def fill(path: Path) -> None:
    """Random numbers into the first rows of every matrix; norms are ones."""
    chance = np.random.default_rng(0)
    with path.open("r+b") as stream:
        for tensor in single.read(path).tensors:
            stream.seek(tensor.offset)
            if len(tensor.shape) == 1:
                stream.write(np.ones(tensor.shape, np.float32).tobytes())
            else:
                numbers = chance.standard_normal((min(FILLED, tensor.shape[0]), tensor.shape[-1]), np.float32)
                stream.write((numbers * tensor.shape[-1] ** -0.5).astype(np.float16).tobytes())


def expected(source: Path, kind: str) -> int:
    """Bytes that the mixture `kind` would take."""
    from penjing.shrink.quantize.mix import mix_of
    from penjing.shrink.quantize.workshop import file_bytes

    model = single.read(source)
    mix = mix_of(model, kind)
    return file_bytes(model, {each.name: mix.choose(each.name, each.shape) for each in model.tensors})


def told(found: list[Row], shape: dict[str, Any] | None, language: str) -> str:
    from penjing.files import human

    say = WORDS[language]
    heads = list(say["heads"])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in found:
        lost = f"{row.lost[0]:.2f} ({row.lost[1]:.2f} … {row.lost[2]:.2f})"
        figures = (human(row.bytes), f"{row.share:.1%}", f"{row.bits:.2f}", f"{row.before:.1%}", f"{row.after:.1%}")
        lines.append("| " + " | ".join((row.model, *figures, lost, f"{GOALS[row.wish]}")) + " |")
    parts = [str(say["head"]).format(**page.machine(), date=date.today().isoformat())]
    if found:
        parts.append("\n".join(lines))
    if shape:
        sizes = {name: human(shape[name]) for name in ("source", "memory")}
        parts.append(str(say["shape"]).format(**{**shape, **sizes}, size=human(shape["bytes"]), rows=FILLED))
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--second", type=Path, help="folder of the second yardstick model")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "penjing-shrink"))
    parser.add_argument("--shape", default="llama-13b", help="the large shape")
    parser.add_argument(
        "--only", choices=("shape", "guide", "second", "kept"), help="this part alone; kept: measure nothing"
    )
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    figures = options.work / "figures.json"
    kept: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    if options.only in (None, "shape"):
        kept["shape"] = large(options.shape, options.work)
    for name, (folder, asked) in yardsticks(options.second).items() if options.only not in ("shape", "kept") else ():
        if options.only in (None, name):
            kept[name] = [asdict(row) for row in rows(name, folder, asked, options.work)]
            figures.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    figures.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    found = [Row(**row) for name in ("guide", "second") for row in kept.get(name, ())]
    pages = {language: told(found, kept.get("shape"), language) for language in WORDS}
    print(pages["en"])
    if options.write:
        page.write("bench/shrink.py", pages, "shrinking-figures")


if __name__ == "__main__":
    main()
