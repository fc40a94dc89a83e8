"""What training what is quantized brings: the best file that post-training quantization makes of a size, and the same
file trained (`penjing quantize --train`), in the same types and bytes.

    python -m recipes.guide.corpus --output CORPUS
    .venv-all/bin/python bench/qat.py --corpus CORPUS --folder WORK [--second FOLDER] [--steps 300] [--write]

Both sides see the same text: what a model was trained on (conversations of the guide's recipe; the learned part of
`second_text`), of which the budget is calibrated on windows, and the trained file learns. Both are judged on text and
questions that neither saw: KL(16-bit model || file) of all tokens, computed by the engine, and the yardstick's
questions. Differences are paired, with 95 % bootstrap intervals. Files that are in WORK are not made again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import page
import second_text
from penjing.export.gguf.convert import convert, layout
from penjing.files import human
from penjing.probe import single
from penjing.progress import Steps
from penjing.shrink import extra
from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.evaluate.statistics import estimate
from penjing.shrink.evaluate.tasks import Task, task
from penjing.shrink.finetune.attempt import states
from penjing.shrink.qat.options import Refining
from penjing.shrink.qat.run import refine
from penjing.shrink.quantize.budget import bytes_of, fit
from penjing.shrink.quantize.calibration import calibration
from penjing.shrink.quantize.judge import Judge
from penjing.shrink.texts.known import builtin, texts
from penjing.shrink.texts.windows import Windows
from penjing.store.resolve import guide
from second_model import Second

BITS = (2.5, 3.0)
CONVERSATIONS = 6000
PASSAGE = 64
"""Tokens that hang together in the bootstrap."""
HELD = 24
QUESTIONS = 1200
SAID = {
    "en": "### Trained beside rounded\n\n`bench/qat.py` on {cpu}, {cores} cores: the best file of a size that rounding "
    "makes (types by budget, an importance matrix, errors made good), and the same file after {steps} steps of "
    "quantization-aware training with {batch} texts each. KL from the 16-bit model in nats a token of held-out text; "
    "points of the yardstick against the 16-bit model; the last column is what training brought, paired, with its "
    "95 % interval.\n\n"
    "| model | bits a weight | file | KL rounded | KL trained | ratio | points lost rounded | trained | won back "
    "| core minutes |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    "zh": "### 训练与舍入的对比\n\n`bench/qat.py`，{cpu}，{cores} 核：舍入所能得到的该大小的最佳文件"
    "（按预算选类型、重要性矩阵、误差补偿），以及同一文件经过 {steps} 步量化感知训练（每步 {batch} 段文本）之后的结果。"
    "KL 为在保留文本上与 16 位模型的差距，单位为每词元奈特；分数为标尺问题上相对 16 位模型损失的百分点；"
    "“挽回”一列是训练带来的提升，配对比较，附 95 % 区间。\n\n"
    "| 模型 | 每权重位数 | 文件 | 舍入后 KL | 训练后 KL | 比值 | 舍入损失的百分点 | 训练后损失 | 挽回 | 核分钟 |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
}


@dataclass(frozen=True)
class Subject:
    """A model: its checkpoint and 16-bit file, what it learns from, what it is calibrated on and judged by."""

    name: str
    checkpoint: Path
    file: Path
    learned: Path
    calibrated: Windows
    held: Windows
    asked: Task


def of_guide(corpus: Path, folder: Path) -> Subject:
    learned = folder / "guide.jsonl"
    with (corpus / "train.jsonl").open(encoding="utf-8") as lines:
        learned.write_text("".join(islice(lines, CONVERSATIONS)), encoding="utf-8")
    file = _sixteen("guide", guide().parent, folder)
    held = calibration(file, builtin("yardstick"), most=HELD)
    seen = calibration(file, texts(str(learned)))
    return Subject("guide", guide().parent, file, learned, seen, held, task("yardstick", QUESTIONS)[0])


def of_second(place: Path, folder: Path) -> Subject:
    second, learned = Second(place), folder / "second.jsonl"
    rows = [json.dumps({"text": each}, ensure_ascii=False) for each in second_text.split(second_text.documents())[0]]
    learned.write_text("\n".join(rows) + "\n", encoding="utf-8")
    file = _sixteen("second", place, folder)
    held = calibration(file, texts(str(place / "heldout.txt")), most=HELD)
    return Subject("second", place, file, learned, calibration(file, texts(str(learned))), held, second.task)


def _sixteen(name: str, checkpoint: Path, folder: Path) -> Path:
    file = folder / f"{name}-16.gguf"
    if not file.exists():
        convert(checkpoint, file, 16)
    return file


def rounded(one: Subject, bits: float, folder: Path) -> Path:
    """The best that rounding makes."""
    target = folder / f"{one.name}-{bits:g}.gguf"
    if not target.exists():
        fit(one.file, target, bytes_of(single.read(one.file), bits), one.calibrated)
    return target


def trained(one: Subject, start: Path, options: Refining, layers: str) -> Path:
    """The same file, trained; the processor time that took is kept beside it."""
    target = start.with_name(f"{start.stem}-{layers}.gguf")
    if target.exists():
        return target
    begun, shown = time.process_time(), -1

    def tell(progress: object) -> None:
        nonlocal shown
        if isinstance(progress, Steps) and progress.done // 25 != shown:
            shown = progress.done // 25
            print(f"  step {progress.done}: {progress.loss:.5f}, held out {progress.heldout}", flush=True)

    done = refine(
        one.checkpoint, start, [one.learned], target, options, layout=layout,
        resume=states(target).is_dir(), report=tell,
    )  # fmt: skip
    spent = time.process_time() - begun
    print(f"{target.name}: {done.before} -> {done.after}, {spent:.0f} s of a core", flush=True)
    found = {**done.found, "core_seconds": spent, "options": repr(options)}
    target.with_suffix(".json").write_text(json.dumps(found) + "\n")
    return target


def points(one: Subject, path: Path) -> NDArray[np.float64]:
    """Of each question, asked once."""
    kept = path.with_suffix(".points.npy")
    if not kept.exists():
        with Engine(path) as engine:
            np.save(kept, one.asked.points(engine, lambda share: None))
    found: NDArray[np.float64] = np.load(kept)
    return found


def row(one: Subject, judge: Judge, start: Path, after: Path) -> str:
    """The same in both languages."""
    kl = [judge.each(path) for path in (start, after)]
    passages = np.arange(len(kl[0])) // PASSAGE
    ratio = kl[1].mean() / kl[0].mean()
    shares = estimate((kl[1] - kl[0]) / kl[0].mean(), passages)
    parent, before, now = (points(one, path) for path in (one.file, start, after))
    won = estimate(now - before)
    model = single.read(after)
    bits = model.bytes * 8 / sum(tensor.elements for tensor in model.tensors)
    minutes = json.loads(after.with_suffix(".json").read_text())["core_seconds"] / 60
    return (
        f"| {one.name} | {bits:.2f} | {human(after.stat().st_size)} | {kl[0].mean():.4f} | {kl[1].mean():.4f} "
        f"| {ratio:.2f} ({1 + shares.low:.2f}–{1 + shares.high:.2f}) | {100 * (parent - before).mean():.1f} "
        f"| {100 * (parent - now).mean():.1f} | {100 * won.value:.1f} ({100 * won.low:.1f} … {100 * won.high:.1f}) "
        f"| {minutes:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--second", type=Path, help="the folder of the second yardstick model itself")
    parser.add_argument("--only", choices=("guide", "second"))
    parser.add_argument("--bits", type=float, action="append")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=Refining.rate)
    parser.add_argument("--label", default="trained")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into docs/{en,zh}/quantize.md")
    given = parser.parse_args()
    extra.require()  # which keeps its threads from spinning
    import torch

    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    options = Refining(
        steps=given.steps, batch=given.batch, rate=given.rate, held_out=0.01, look_every=100, save_every=25,
        patience=0, length=512,
    )  # fmt: skip
    subjects = [] if given.only == "second" else [of_guide(given.corpus, given.folder)]
    if given.second and given.only != "guide":
        subjects.append(of_second(given.second, given.folder))
    table = []
    for one in subjects:
        with Judge(one.file, one.held, most=HELD) as judge:
            for bits in given.bits or BITS:
                start = rounded(one, bits, given.folder)
                table.append(row(one, judge, start, trained(one, start, options, given.label)))
                print(table[-1], flush=True)
    if given.write:
        facts = {**page.machine(), "steps": given.steps, "batch": given.batch}
        texts_of = {each: "\n".join([said.format(**facts), *table]) for each, said in SAID.items()}
        page.write("bench/qat.py", texts_of, "quantize")


if __name__ == "__main__":
    main()
