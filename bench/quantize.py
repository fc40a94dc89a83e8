"""How fast files are quantized, and in how much memory.

    python bench/quantize.py [--shape llama-7b] [--kind Q4_K_M] [--layers 1] [--rounds 3] [--share 0.1] [--write]

Memory: the highest resident set of a process that quantizes the whole F16 file (its weights are holes, which read as
zeros: memory does not depend on numbers), and of one that holds the products of all columns and stops after --share of
the file, since one layer is as wide as another and making good errors takes an hour for them all. Speed: the same model
with --layers layers and random weights, penjing's stream and llama-quantize's way (whole tensors in memory, converted
to f32, `ggml_quantize_chunk` on rows by as many threads) in turns, with an importance matrix; then penjing's rounding
that makes good its errors.

Does not know: what the numbers are worth (`quantize_kl.py`).
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import page
import shapes
from penjing.probe import single
from penjing.shrink.ggml import encode
from penjing.shrink.quantize.importance import BLOCK, Columns, Importance
from penjing.shrink.quantize.mix import mix_of, quantizable
from penjing.shrink.quantize.write import quantize, rows_of
from penjing.shrink.stream import cores

CHUNK = 32 * 512
"""Numbers that a thread of llama-quantize takes at once (llama-quant.cpp, `min_chunk_size`), at least."""
CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from quantize import known
from penjing.probe import single
from penjing.shrink.quantize.write import quantize
source, target = Path({source!r}), Path({target!r})
importance = known(source, {products})

class Enough(Exception):
    pass

def tell(progress):
    if progress.fraction > {share}:
        raise Enough

try:
    quantize(source, target, {kind!r}, importance=importance, report=tell)
except Enough:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
HEADINGS = {
    "en": "### Speed and memory\n\n`bench/quantize.py` on {cpu}, {cores} cores: {shape} from F16 to {kind}. Highest "
    "resident set for all of it ({size:.1f} GB): {plain:.2f} GB, and {ours:.2f} GB with the products of all columns "
    "in memory (looked at for {share:.0%} of it). Speed, layers: {layers}, f16 GB a minute, medians of {rounds} turns:",
    "zh": "### 速度与内存\n\n`bench/quantize.py`，{cpu}，{cores} 核：{shape} 从 F16 到 {kind}。"
    "处理整个文件（{size:.1f} GB）的最大常驻内存：{plain:.2f} GB；"
    "所有列之积也在内存中时为 {ours:.2f} GB（只看其中的 {share:.0%}）。"
    "其中 {layers} 层的速度，每分钟 f16 GB 数，"
    "{rounds} 轮的中位数：",
}
ROWS = {
    "en": (
        "| | GB/min | ratio to llama-quantize's way |\n|---|--:|--:|",
        "llama-quantize's way",
        "penjing, --plain",
        "penjing",
    ),
    "zh": (
        "| | GB/分钟 | 与 llama-quantize 方式之比 |\n|---|--:|--:|",
        "llama-quantize 的方式",
        "penjing，--plain",
        "penjing",
    ),
}


def known(source: Path, products: bool) -> Importance:
    """As if measured; tensors that are multiplied with the same numbers share theirs."""
    draw = np.random.default_rng(0)
    found: dict[str, Columns] = {}
    shared: dict[tuple[str, int], Columns] = {}
    for tensor in single.read(source).tensors:
        if not quantizable(tensor.name, tensor.shape):
            continue
        width = tensor.shape[-1]
        alike = "qkv" if any(part in tensor.name for part in ("attn_q", "attn_k", "attn_v")) else tensor.name
        alike = alike.replace("ffn_gate", "ffn_up")
        key = f"{tensor.name.split('.')[1]} {alike}", width
        if key not in shared:
            sums = np.abs(draw.normal(size=(1, width))).astype(np.float32)
            blocks = -(-width // BLOCK)
            many = (
                np.broadcast_to(np.eye(BLOCK, dtype=np.float32), (1, blocks, BLOCK, BLOCK)).copy() if products else None
            )
            shared[key] = Columns(sums, np.ones(1, np.float32), many)
        found[tensor.name] = shared[key]
    return Importance(found)


def memory(source: Path, target: Path, kind: str, products: bool, share: float = 1.0) -> float:
    """GB at most, until `share` of the file is written."""
    facts = {"here": str(Path(__file__).parent), "source": str(source), "target": str(target)}
    script = CHILD.format(**facts, kind=kind, products=products, share=share)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    target.unlink(missing_ok=True)
    return int(done.stdout) / 1e9


def whole_tensors(source: Path, target: Path, kind: str, importance: Importance) -> None:
    """llama-quantize's way."""
    model = single.read(source)
    mix = mix_of(model, kind, weighed=True)
    with target.open("wb") as stream, ThreadPoolExecutor(cores()) as pool:
        for tensor in model.tensors:
            rows = rows_of(model, tensor)(0, tensor.elements // tensor.shape[-1])
            wanted = mix.choose(tensor.name, tensor.shape)
            weights = importance.columns[tensor.name].means[0] if tensor.name in importance.columns else None
            step = max(1, CHUNK * 16 // tensor.shape[-1])
            pieces = [(rows[at : at + step], wanted, weights) for at in range(0, len(rows), step)]
            for coded in pool.map(lambda piece: encode(*piece), pieces):
                stream.write(coded.data)


def seconds(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="llama-7b", choices=list(shapes.SHAPES))
    parser.add_argument("--kind", default="Q4_K_M")
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.1, help="of the file that errors are made good in for memory")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "penjing-quantize")
    parser.add_argument("--write", action="store_true", help="put the figures into the docs")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    target = options.folder / "target.gguf"

    whole = shapes.write(options.shape, "F16", options.folder, hollow=True)
    shares = {False: 1.0, True: options.share}
    held = {products: memory(whole, target, options.kind, products, share) for products, share in shares.items()}
    size = whole.stat().st_size / 1e9
    print(f"{size:.1f} GB: {held[False]:.2f} GB resident, {held[True]:.2f} GB with products", flush=True)

    name = f"{options.shape}-{options.layers}"
    shapes.SHAPES[name] = dataclasses.replace(shapes.SHAPES[options.shape], layers=options.layers, words=4096)
    part = shapes.write(name, "F16", options.folder)
    plain, ours = known(part, False), known(part, True)
    ways: dict[str, Callable[[], object]] = {
        "whole": lambda: whole_tensors(part, target, options.kind, plain),
        "plain": lambda: quantize(part, target, options.kind, importance=plain),
        "ours": lambda: quantize(part, target, options.kind, importance=ours),
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    gigabytes = part.stat().st_size / 1e9
    for turn in range(options.rounds):
        for way, work in ways.items():
            speeds[way].append(gigabytes / seconds(work) * 60)
            print(f"turn {turn + 1}, {way}: {speeds[way][-1]:.2f} GB/min", flush=True)
    target.unlink()
    if options.write:
        facts = {**page.machine(), "shape": options.shape, "kind": options.kind, "layers": options.layers, "size": size}
        facts |= {"share": options.share, "rounds": options.rounds, "plain": held[False], "ours": held[True]}
        page.write("bench/quantize.py", {each: text(each, facts, speeds) for each in HEADINGS}, "quantize")


def text(language: str, facts: dict[str, object], speeds: dict[str, list[float]]) -> str:
    """Heading and table."""
    head, *names = ROWS[language]
    lines = [HEADINGS[language].format(**facts), "", head]
    for name, way in zip(names, speeds, strict=True):
        ratios = [mine / theirs for mine, theirs in zip(speeds[way], speeds["whole"], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        lines.append(f"| {name} | {statistics.median(speeds[way]):.2f} | {'1' if way == 'whole' else spread} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
