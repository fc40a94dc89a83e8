"""A profile as speedscope shows it: each phase in the order of computing, and summed up by group.

Source: speedscope's file-format-schema.json (https://www.speedscope.app/file-format-schema.json).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import penjing
from penjing.operate.measure.profile.phase import Part, Phase, Profile
from penjing.operate.measure.profile.tree import Node, titled, tree

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
UNIT, EACH = "microseconds", 1e6


def speedscope(profile: Profile) -> dict[str, Any]:
    """The document; open it at https://www.speedscope.app, which keeps it in the browser."""
    frames = _Frames()
    profiles = []
    for name, phase in profile.each():
        profiles += [_ordered(name, phase, frames), _summed(name, phase, frames)]
    return {
        "$schema": SCHEMA,
        "name": f"{profile.model}, {profile.processor}, {profile.threads} threads",
        "exporter": f"penjing {penjing.__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames.numbers]},
        "profiles": profiles,
    }


class _Frames:
    """Names and their numbers."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def of(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


def _ordered(name: str, phase: Phase, frames: _Frames) -> dict[str, Any]:
    """An evented profile: operations one after another, inside their layers."""
    events: list[dict[str, Any]] = []
    now, opened = 0.0, [frames.of(name)]
    events.append({"type": "O", "frame": opened[0], "at": now})
    for part in phase.parts():
        wanted = [opened[0], *([frames.of(f"layer {part.layer}")] if part.layer is not None else [])]
        events += _moved(opened, wanted, now)
        opened = wanted
        frame = frames.of(_frame(part))
        events.append({"type": "O", "frame": frame, "at": now})
        now += part.seconds * EACH
        events.append({"type": "C", "frame": frame, "at": now})
    events += _moved(opened, [], now)
    return _profile("evented", f"{name}, in order", now) | {"events": events}


def _moved(opened: Sequence[int], wanted: Sequence[int], now: float) -> Iterator[dict[str, Any]]:
    """What closes and opens between two stacks."""
    same = 0
    while same < min(len(opened), len(wanted)) and opened[same] == wanted[same]:
        same += 1
    yield from ({"type": "C", "frame": frame, "at": now} for frame in reversed(opened[same:]))
    yield from ({"type": "O", "frame": frame, "at": now} for frame in wanted[same:])


def _summed(name: str, phase: Phase, frames: _Frames) -> dict[str, Any]:
    """A sampled profile: one sample for each leaf of the tree."""
    samples, weights = [], []
    for stack, seconds in _leaves(tree(phase), [frames.of(name)], frames):
        samples.append(stack)
        weights.append(seconds * EACH)
    return _profile("sampled", f"{name}, by group", sum(weights)) | {"samples": samples, "weights": weights}


def _leaves(nodes: Sequence[Node], above: list[int], frames: _Frames) -> Iterator[tuple[list[int], float]]:
    for node in nodes:
        name = f"layer {node.name}" if node.name.isdigit() else node.name
        stack = [*above, frames.of(name)]
        if node.branches:
            yield from _leaves(node.branches, stack, frames)
            left = node.part.seconds - sum(branch.part.seconds for branch in node.branches)
            if left > 0:  # what belongs to no layer
                yield stack, left
        else:
            yield stack, node.part.seconds


def _frame(part: Part) -> str:
    title = titled(part)
    return title if title == part.group else f"{part.group}: {title}"


def _profile(kind: str, name: str, end: float) -> dict[str, Any]:
    return {"type": kind, "name": name, "unit": UNIT, "startValue": 0, "endValue": end}
