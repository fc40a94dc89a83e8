"""The map of bits: a row for each kind of tensor, a column for each layer, a shade for the bits a weight.

Does not know: why a tensor has its type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from penjing.plan.report.svg import WIDTH, hint, picture, tag, text
from penjing.plan.said import said
from penjing.plan.weights import bits
from penjing.probe.tensor import Tensor

LAYER = re.compile(r"^blk\.(\d+)\.(.+?)(\.weight)?$")
LEFT, RIGHT, TOP, ROW, GAP = 132.0, 8.0, 34.0, 24.0, 2.0
WIDEST, READABLE = 64.0, 26.0
"""Of a cell; from this width on the bits stand in it."""
LABEL_EVERY = 34.0
"""Room that the number of a layer needs."""
SHADES = ((2.2, "b1"), (2.8, "b2"), (3.6, "b3"), (4.6, "b4"), (5.6, "b5"), (7.0, "b6"), (9.0, "b8"))
WHOLE = "b16"
LEGEND = {
    "b1": "< 2.2",
    "b2": "< 2.8",
    "b3": "< 3.6",
    "b4": "< 4.6",
    "b5": "< 5.6",
    "b6": "< 7",
    "b8": "< 9",
    "b16": "16+",
}


def draw(tensors: Sequence[Tensor]) -> str:
    """All matrices of a GGUF file; "" where there are none in layers."""
    cells = {(match[2], int(match[1])): each for each in tensors if (match := _matrix(each)) is not None}
    if not cells:
        return ""
    rows = list(dict.fromkeys(name for name, _ in cells))
    layers = 1 + max(layer for _, layer in cells)
    wide = min(WIDEST, (WIDTH - LEFT - RIGHT) / layers)
    others = [each for each in tensors if len(each.shape) > 1 and not LAYER.match(each.name)]
    bottom = TOP + ROW * len(rows)
    drawn = [_cell(each, layer, rows.index(name), wide) for (name, layer), each in cells.items()]
    heads = [text(name, LEFT - 8, TOP + ROW * at + 16, "end", "small") for at, name in enumerate(rows)]
    label = said("Bits a weight of each tensor")
    height = bottom + 24 + ROW * len(others)
    return picture(height, label, *_legend(), *heads, *drawn, *_numbers(layers, wide, bottom), *_others(others, bottom))


def _matrix(tensor: Tensor) -> re.Match[str] | None:
    return LAYER.match(tensor.name) if len(tensor.shape) > 1 else None


def shade(width: float) -> str:
    """The class of so many bits a weight.

    >>> shade(4.5), shade(16.0)
    ('b4', 'b16')
    """
    return next((name for most, name in SHADES if width < most), WHOLE)


def _cell(tensor: Tensor, layer: int, row: int, wide: float) -> str:
    width = bits(tensor.type)
    x, y = LEFT + wide * layer, TOP + ROW * row
    told = said("{name}: {type}, {bits} bits a weight", name=tensor.name, type=tensor.type, bits=f"{width:g}")
    gap = GAP if wide > 3 * GAP else 0.3
    box = tag("rect", hint(told), x=x, y=y, width=wide - gap, height=ROW - GAP, rx=2.0 if wide > 8 else 0.0,
              class_=shade(width))  # fmt: skip
    if wide < READABLE:
        return box
    return box + text(f"{width:.3g}", x + (wide - gap) / 2, y + 15, "middle", f"tiny on-{shade(width)}")


def _numbers(layers: int, wide: float, bottom: float) -> Iterator[str]:
    every = max(1, -(-LABEL_EVERY // wide))
    for layer in range(0, layers, int(every)):
        yield text(str(layer), LEFT + wide * layer + wide / 2, bottom + 14, "middle", "small faint")
    yield text(said("layer"), LEFT - 8, bottom + 14, "end", "small faint")


def _others(tensors: Sequence[Tensor], bottom: float) -> Iterator[str]:
    for at, tensor in enumerate(tensors):
        y, width = bottom + 24 + ROW * at, bits(tensor.type)
        told = said("{name}: {type}, {bits} bits a weight", name=tensor.name, type=tensor.type, bits=f"{width:g}")
        yield text(tensor.name.removesuffix(".weight"), LEFT - 8, y + 16, "end", "small")
        yield tag("rect", hint(told), x=LEFT, y=y, width=WIDEST, height=ROW - GAP, rx=2.0, class_=shade(width))
        yield text(f"{width:.3g}", LEFT + WIDEST / 2, y + 15, "middle", f"tiny on-{shade(width)}")


def _legend() -> Iterator[str]:
    at = LEFT
    yield text(said("bits a weight"), LEFT - 8, 15.5, "end", "small faint")
    for name, words in LEGEND.items():
        yield tag("rect", x=at, y=6.0, width=11.0, height=11.0, rx=2.0, class_=name)
        yield text(words, at + 16, 15.5, class_="small")
        at += 70
