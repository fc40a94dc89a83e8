"""What 4 bits cost the models of `bench/exports.py`: plain rounding, penjing's own, and the least that any code of as
many bits could do that knows nothing but the weights.

    python bench/four_bits.py [--folder DIR] [--models NAME ...] [--write]

No runtime is in the way: penjing's decoder computes with the weights that came out, on the prompts that exports are
checked with. The head and the embedding keep float32, or 4 bits where the grid has the head.

The least: normally distributed weights of variance v, told in R bits each, are wrong by v * 2^(-2R) on average at best
(Shannon's rate-distortion function). A code that reaches it gives (1 - d) W + sqrt(d (1 - d)) N, d = 2^(-2R), N normal
of W's spread. Random weights are normally distributed; a trained model's are only nearly so.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from torch import nn

import page
from exports import MODELS, checkpoint
from penjing.export import blocks, calibration
from penjing.export.blocks import Grid, shifted, signed
from penjing.export.check import COARSE, compare
from penjing.export.decoder import weights
from penjing.export.decoder.model import Decoder
from penjing.export.original import Decoded
from penjing.export.prompts import encoder, prompts
from penjing.export.target import Options
from penjing.progress import silent
from penjing.store.resolve import guide

CONTEXT = 256
BLOCK, BITS = 32, 4.5
"""A scale of 16 bits for 32 weights of 4."""
SEEDS = range(5)
GRIDS = {
    "signed": (signed(4, BLOCK), False, "coreml"),
    "signed, head too": (signed(4, BLOCK), True, "litert, executorch"),
    "shifted": (shifted(4, BLOCK), False, "onnx"),
}
"""By name: the grid, whether the head has it too, who uses it."""
SAID = {
    "en": "`bench/four_bits.py`: KL in nats a token, and how often the likeliest token is the same (of the language in "
    "which it is least often), on the prompts of the check; computed by penjing's decoder, without a runtime. The last "
    "columns: the least that any code of {bits:g} bits a weight could lose if it knew nothing but the weights "
    "(Shannon's bound, normally distributed errors of that size; mean of {seeds}). The limit is {limit:.0f} %.\n\n"
    "| model | numbers | of | rounded: KL | top-1 | settled: KL | top-1 | bound: KL | top-1 |\n"
    "|---|---|---|--:|--:|--:|--:|--:|--:|",
    "zh": "`bench/four_bits.py`：KL 单位为每 token 奈特；top-1 为最可能的 token 相同的比例（取较低的那种语言）；"
    "所用提示与验证相同，由 penjing 的解码器计算，不经过运行时。最后两列是只知道权重、每个权重 {bits:g} 位的任何编码"
    "至少要付出的代价（香农界：该大小的正态误差，{seeds} 次平均）。下限为 {limit:.0f} %。\n\n"
    "| 模型 | 数 | 用于 | 直接舍入：KL | top-1 | 校准后：KL | top-1 | 理论界：KL | top-1 |\n"
    "|---|---|---|--:|--:|--:|--:|--:|--:|",
}
NAMES = {"signed": "有符号", "signed, head too": "有符号，含输出层", "shifted": "带零点"}


@dataclass(frozen=True)
class Loss:
    """KL in nats a token; the least agreement of any language."""

    kl: float
    top1: float

    def cells(self) -> str:
        return f"{self.kl:.2g} | {self.top1 * 100:.1f} %"


def matrices(decoder: Decoder, *, head: bool) -> list[nn.Linear]:
    """Those that get 4 bits."""
    parts = [*decoder.layers.modules(), *([decoder.head] if head else [])]
    return [each for each in parts if isinstance(each, nn.Linear)]


def put(part: nn.Linear, weight: torch.Tensor) -> None:
    part.weight = nn.Parameter(weight, requires_grad=False)  # a tied embedding keeps its own


def rounded(decoder: Decoder, grid: Grid, *, head: bool) -> None:
    """Each block's range in even steps."""
    for part in matrices(decoder, head=head):
        cut = part.weight.view(-1, grid.block)
        low, high = cut.amin(1, keepdim=True).clamp(max=0), cut.amax(1, keepdim=True).clamp(min=0)
        if not grid.shifted:
            high = torch.maximum(high, -low)
            low = -high
        scale = ((high - low) / (grid.highest - grid.lowest)).clamp(min=1e-30)
        middle = torch.round(grid.lowest - low / scale)
        number = torch.round(cut / scale + middle).clamp(grid.lowest, grid.highest)
        put(part, ((number - middle) * scale).view_as(part.weight))


def ideal(decoder: Decoder, seed: int, *, head: bool) -> None:
    """What the best code of BITS gives back."""
    torch.manual_seed(seed)
    lost = 2 ** (-2 * BITS)
    for part in matrices(decoder, head=head):
        noise = torch.randn_like(part.weight) * part.weight.std()
        put(part, (1 - lost) * part.weight + (lost * (1 - lost)) ** 0.5 * noise)


def measured(source: Path, change: Callable[[Decoder], object]) -> Loss:
    """What `change` costs the checkpoint in `source`."""
    changed = weights.load(source, CONTEXT)
    change(changed)
    asked = prompts(encoder(source))
    whole, languages = compare(Decoded(weights.load(source, CONTEXT)), Decoded(changed), asked)
    return Loss(whole.kl, min(each.top1 for each in languages.values()))


def bound(source: Path, *, head: bool) -> Loss:
    found = [measured(source, partial(ideal, seed=seed, head=head)) for seed in SEEDS]
    return Loss(fmean(each.kl for each in found), fmean(each.top1 for each in found))


def rows(name: str, folder: Path) -> list[tuple[str, str, str, str]]:
    """Model, numbers, whose, cells."""
    source = guide().parent if name == "guide" else Path(checkpoint(name, folder))
    windows = calibration.read(source, Options("int4"), blocks.LENGTH)
    least = {head: bound(source, head=head) for head in (False, True)}
    made = []
    for label, (grid, head, users) in GRIDS.items():
        plain = measured(source, partial(rounded, grid=grid, head=head))
        settled = measured(source, partial(blocks.fit, windows=windows, grid=grid, report=silent, head=head))
        cells = " | ".join(each.cells() for each in (plain, settled, least[head]))
        made.append((name, label, users, cells))
        print(*made[-1], sep=" | ", flush=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "penjing-exports")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found = [row for name in options.models for row in rows(name, options.folder)]
    if options.write:
        facts = {"bits": BITS, "seeds": len(SEEDS), "limit": COARSE.top1 * 100}
        texts = {
            language: "\n".join([said.format(**facts), *(line(row, language) for row in found)])
            for language, said in SAID.items()
        }
        page.write("bench/four_bits.py", texts, "exports")


def line(row: tuple[str, str, str, str], language: str) -> str:
    name, label, users, cells = row
    return f"| `{name}` | {label if language == 'en' else NAMES[label]} | {users} | {cells} |"


if __name__ == "__main__":
    main()
