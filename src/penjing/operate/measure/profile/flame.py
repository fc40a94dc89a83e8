"""A profile as a flame graph: one SVG with everything in it, to be opened in any browser.

From above: the phase, its groups, their operators, the layers. A click on a part widens it, another one beside it goes
back; a pointer that rests on it is told the numbers. Without scripts it is a still picture.

Does not know: where it is written.
"""

from __future__ import annotations

from html import escape
from importlib import resources

from penjing.language import say
from penjing.operate.measure.profile.groups import GROUPS
from penjing.operate.measure.profile.phase import Phase, Profile
from penjing.operate.measure.profile.tree import Node, tree
from penjing.operate.measure.profile.words import about, detail, named, spent
from penjing.plan.report.svg import tag

WIDTH, MARGIN = 1200.0, 16.0
ROW, TITLE, BETWEEN = 20.0, 26.0, 34.0
ROWS = 4
LETTER, PADDING = 6.6, 4.0
"""Width of a letter of the labels, and the room beside them."""
NARROWEST = 0.3
"""Units; what is narrower cannot be seen."""
LEGEND = 22.0
NOTES = 18.0


def flame(profile: Profile) -> str:
    """The SVG, in the reader's language."""
    y = MARGIN + TITLE
    body = [tag("text", escape(profile.model), x=MARGIN, y=MARGIN + 14, class_="title"), _legend(profile, y)]
    y += LEGEND
    for name, phase in profile.each():
        y += BETWEEN
        body.append(tag("text", escape(about(name, phase)), x=MARGIN, y=y - 8, class_="phase"))
        body.append(_graph(name, phase, y))
        y += ROWS * ROW
    for note in (_machine(profile), say("Click a part to widen it; click the top row to go back.")):
        y += NOTES
        body.append(tag("text", escape(note), x=MARGIN, y=y, class_="soft"))
    page = resources.files("penjing") / "data" / "report"
    style = (page / "flame.css").read_text(encoding="utf-8")
    script = (page / "flame.js").read_text(encoding="utf-8")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {y + MARGIN:g}" width="100%" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace"><style>{style}</style>'
        f'<rect class="page" width="100%" height="100%"/>{"".join(body)}<script><![CDATA[{script}]]></script></svg>\n'
    )


def _machine(profile: Profile) -> str:
    threads = say("{count} threads", count=profile.threads)
    return f"{profile.processor}, {threads}, llama.cpp {profile.library}, {profile.when}"


def _legend(profile: Profile, y: float) -> str:
    found, x = [], MARGIN
    there = {part.group for _, phase in profile.each() for part in phase.groups()}
    for group in (name for name in GROUPS if name in there):
        found.append(tag("rect", x=x, y=y, width=12, height=12, rx=2, class_=_class(group)))
        found.append(tag("text", escape(named(group)), x=x + 17, y=y + 10.5, class_="small"))
        x += 34 + sum(2 if ord(letter) > 0x2E80 else 1 for letter in named(group)) * LETTER
    return "".join(found)


def _graph(name: str, phase: Phase, y: float) -> str:
    """One phase, as wide as the picture."""
    total = phase.total or 1.0
    scale = (WIDTH - 2 * MARGIN) / total
    whole = tag("title", escape(about(name, phase)))
    found = [_box(named(name), whole, "top", MARGIN, y, WIDTH - 2 * MARGIN)]

    def draw(nodes: tuple[Node, ...], x: float, row: int) -> None:
        for node in nodes:
            width = node.part.seconds * scale
            if width >= NARROWEST:
                layer = node.name.isdigit()
                full = say("layer {number}", number=node.name) if layer else named(node.name)
                hint = f"{full}: {spent(node.part, total)}\n{detail(node.part)}".strip()
                title = tag("title", escape(hint))
                found.append(
                    _box(node.name if layer else full, title, _class(node.part.group), x, y + row * ROW, width)
                )
                draw(node.branches, x, row + 1)
            x += width

    draw(tree(phase), MARGIN, 1)
    return tag("g", *found, class_="graph")


def _box(label: str, title: str, kind: str, x: float, y: float, width: float) -> str:
    """A part; the script finds its label, which may be longer than what is shown."""
    rect = tag("rect", x=x, y=y, width=max(width - 0.5, NARROWEST), height=ROW - 1, rx=2, class_=kind)
    shown = tag("text", escape(fitting(label, width)), x=x + PADDING, y=y + ROW - 6)
    return tag("g", title, rect, shown, class_="part", data_x=x, data_w=width, data_label=label)


def fitting(label: str, width: float) -> str:
    """As much of `label` as `width` has room for; nothing where that says nothing.

    >>> fitting("matrix product", 60), fitting("matrix product", 200), fitting("matrix product", 10)
    ('matrix…', 'matrix product', '')
    """
    room = int((width - 2 * PADDING) / LETTER)
    wide = [2 if ord(letter) > 0x2E80 else 1 for letter in label]
    if sum(wide) <= room:
        return label
    count = 0
    while count < len(wide) and sum(wide[: count + 1]) <= room - 1:
        count += 1
    return f"{label[:count]}…" if count > 1 else ""


def _class(group: str) -> str:
    """The name of a group's colour."""
    return f"g{GROUPS.index(group)}"
