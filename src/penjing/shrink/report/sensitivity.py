"""How much each layer matters: what the model would lose if a tensor alone had few bits, stacked by layer.

Does not know: how that was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penjing.plan.report.svg import WIDTH, Scale, hint, line, picture, steps, tag, text
from penjing.plan.said import said
from penjing.shrink.report.bitmap import LAYER

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 76.0, 16.0, 40.0, 34.0, 260.0
PARTS = {"attention": "attn", "feed-forward": "ffn"}
OTHER = "others"
CLASSES = {"attention": "weights", "feed-forward": "kv", OTHER: "compute"}
WIDEST, SHARE, LABEL_EVERY = 48.0, 0.78, 30.0


def draw(losses: Mapping[str, float]) -> str:
    """`losses` in nats by tensor, as a GGUF file names them; those outside of layers are one column. "" without any."""
    columns: dict[str, dict[str, float]] = {}
    for name, loss in losses.items():
        found = LAYER.match(name)
        column = columns.setdefault(found[1] if found else "·", {})
        part = next((part for part, mark in PARTS.items() if found and mark in found[2]), OTHER)
        column[part] = column.get(part, 0.0) + max(loss, 0.0)
    ordered = sorted(columns, key=lambda name: (name == "·", int(name) if name != "·" else 0))
    most = max((sum(column.values()) for column in columns.values()), default=0.0)
    if not most:
        return ""
    up = Scale(0.0, most * 1.06, HEIGHT - BOTTOM, TOP)
    wide = min(WIDEST, (WIDTH - LEFT - RIGHT) / len(ordered))
    bars = [_bar(name, columns[name], LEFT + wide * at, wide, up) for at, name in enumerate(ordered)]
    label = said("What the model would lose if one layer alone had few bits")
    return picture(HEIGHT, label, *_legend(), *_axis(up), *bars, *_numbers(ordered, wide))


def _bar(layer: str, column: Mapping[str, float], x: float, wide: float, up: Scale) -> str:
    parts, at = [], 0.0
    for part, name in CLASSES.items():
        if loss := column.get(part, 0.0):
            told = said("layer {layer}, {part}: {loss} nats", layer=layer, part=said(part), loss=f"{loss:.3g}")
            top, low = up(at + loss), up(at)
            parts.append(tag("rect", hint(told), x=x, y=top, width=wide * SHARE, height=low - top, class_=name))
            at += loss
    return tag("g", *parts)


def _axis(up: Scale) -> Iterator[str]:
    for value in steps(up.high):
        yield line(LEFT, up(value), WIDTH - RIGHT, up(value), "grid")
        yield text(f"{value:.3g}", LEFT - 8, up(value) + 4, "end", "small")
    yield text(said("nats"), LEFT - 8, TOP - 10, "end", "small faint")


def _numbers(names: list[str], wide: float) -> Iterator[str]:
    every = max(1, int(-(-LABEL_EVERY // wide)))
    for at, name in enumerate(names):
        if at % every == 0 or name == "·":
            shown = said(OTHER) if name == "·" else name
            yield text(shown, LEFT + wide * (at + SHARE / 2), HEIGHT - BOTTOM + 16, "middle", "small faint")
    yield text(said("layer"), LEFT - 8, HEIGHT - BOTTOM + 16, "end", "small faint")


def _legend() -> Iterator[str]:
    at = LEFT
    for part, name in CLASSES.items():
        yield tag("rect", x=at, y=6.0, width=11.0, height=11.0, rx=2.0, class_=name)
        yield text(said(part), at + 16, 15.5, class_="small")
        at += 118
