"""What a seal costs when a model starts: sealed and plain in turn, from nothing to the first answer of /health.

    python bench/seal.py [--shape llama-3.2-1b] [--folder DIR] [--write]

Both files are in the page cache, as after a first start, so that the disk is not measured but the decryption is. Beside
the times: how fast chunks are checked, decrypted and placed in memory (all cores), and how much memory that keeps which
a plain model leaves to the page cache.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import page
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.store.seal import keys
from penjing.store.seal.keys import SealSettings
from penjing.store.seal.opening import Opened, open_sealed
from penjing.store.seal.sealing import seal
from shapes import SHAPES, write

ROUNDS = 7
KIND = "Q4_K"
OPTIONS = EngineOptions(max_context=512, parallel=1, device="cpu")
MEANS = SealSettings(key_command="echo " + "5a" * 32)


def warmed(path: Path) -> None:
    """Have it in the page cache."""
    with path.open("rb", buffering=0) as stream:
        while stream.read(16 << 20):
            pass


async def started(engine: LlamaCpp) -> float:
    """Seconds until it answers."""
    begin = time.perf_counter()
    await engine.start()
    seconds = time.perf_counter() - begin
    await engine.stop()
    return seconds


def start(plain: Path, opened: Opened | None) -> float:
    warmed(opened.path if opened else plain)
    return asyncio.run(started(LlamaCpp(opened.path if opened else plain, "model", OPTIONS, sealed=opened)))


def decrypted(opened: Opened) -> float:
    """GB/s into memory."""
    begin = time.perf_counter()
    memory = opened.memory()
    rate = memory.size / 1e9 / (time.perf_counter() - begin)
    memory.close()
    return rate


def told(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f} … {max(values):.2f})"


HEADINGS = {
    "en": "`python bench/seal.py`: a model of {size} in the shape of {shape} is started until it answers, plain and "
    "sealed in turn ({rounds} rounds, median and spread, {cpu}, {cores} cores).",
    "zh": "`python bench/seal.py`：形状同 {shape}、大小 {size} 的模型从启动到能够应答所需的时间，未密封与密封轮流测量"
    "（{rounds} 轮，中位数与范围，{cpu}，{cores} 核）。",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.2-1b")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "penjing-seal"))
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["PENJING_HOME"] = str(options.folder / "home")
    plain = write(options.shape, KIND, options.folder)
    sealed = plain.with_name(plain.name + ".sealed")
    seal(plain, sealed, (partial(keys.command_slot, MEANS.key_command),))
    opened = open_sealed(sealed, MEANS)
    os.sync()
    start(plain, None), start(plain, opened)
    without, within, ratios, rates = [], [], [], []
    for _ in range(ROUNDS):
        without.append(start(plain, None))
        within.append(start(plain, opened))
        ratios.append(within[-1] / without[-1])
        rates.append(decrypted(opened))
    size = f"{plain.stat().st_size / 1e9:.2f} GB"
    text = "\n".join(
        [
            "| plain | sealed | ratio | decrypting | memory kept |",
            "|---|---|---|---|---|",
            f"| {told(without, ' s')} | {told(within, ' s')} | {told(ratios, '')} | {told(rates, ' GB/s')} | {size} |",
        ]
    )
    print(text)
    if options.write:
        facts = {**page.machine(), "rounds": ROUNDS, "shape": options.shape, "size": size}
        page.write("bench/seal.py", {each: f"{HEADINGS[each].format(**facts)}\n\n{text}" for each in HEADINGS}, "trust")


if __name__ == "__main__":
    main()
