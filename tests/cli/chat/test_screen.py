from __future__ import annotations

import asyncio
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from penjing.cli.chat.screen import Bottom, Plain, Screen, settled

ANSWER = """## 量化

量化让 `Q8_0` **变小**。

| 类型 | 位数 |
|---|---|
| Q8_0 | 8.5 |

1. one
2. two
   - deep

```python
x = 1

y = 2
```

> quoted

The end.
"""
BLOCKS = st.lists(
    st.sampled_from(["# head", "words and *more*", "- a\n- b", "1. a\n2. b", "```\ncode\n\nx\n```", "> q", "---"]),
    max_size=6,
)


def console(width: int = 60, height: int = 20) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)


def shown(canvas: Console) -> list[str]:
    """What stays on the terminal: the output with its erasures carried out."""
    assert isinstance(canvas.file, io.StringIO)
    rows: list[str] = [""]
    row = 0
    for piece in tokens(canvas.file.getvalue()):
        if piece == "\x1b[1A":
            row -= 1
        elif piece == "\x1b[2K":
            rows[row] = ""
        elif piece == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif not piece.startswith("\x1b") and piece != "\r":
            rows[row] += piece
    return [line.rstrip() for line in rows]


def tokens(text: str) -> list[str]:
    return re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", text)


async def drawn(pieces: list[str], canvas: Console) -> list[str]:
    with Screen(canvas) as screen:
        for piece in pieces:
            screen.feed(piece)
            screen._frame()
            await asyncio.sleep(0)
    return [line for line in shown(canvas) if line]


async def test_piece_by_piece_is_what_one_piece_is() -> None:
    whole = await drawn([ANSWER], console())
    assert await drawn(list(ANSWER), console()) == whole
    assert whole[0] == "量化"
    assert "     x = 1" not in whole
    assert any("Q8_0" in line and "8.5" in line for line in whole)
    assert whole[-1] == "The end."


@given(blocks=BLOCKS, step=st.integers(1, 7))
async def test_any_answer_in_any_pieces(blocks: list[str], step: int) -> None:
    text = "\n\n".join(blocks)
    pieces = [text[start : start + step] for start in range(0, len(text), step)]
    assert await drawn(pieces, console()) == await drawn([text], console())


async def test_an_answer_taller_than_the_window_is_printed_once() -> None:
    text = "\n".join(f"{number}. item {number}" for number in range(1, 60))
    lines = await drawn([text[start : start + 9] for start in range(0, len(text), 9)], console(height=10))
    assert len(lines) == 59
    assert lines[0].endswith("item 1")
    assert lines[-1].endswith("item 59")


def test_the_bottom_of_something_tall() -> None:
    canvas = console(height=6)
    canvas.print(Bottom("\n".join(str(number) for number in range(20))))
    assert shown(canvas)[:4] == ["16", "17", "18", "19"]


async def test_reasoning_stands_above_and_is_kept() -> None:
    canvas = console()
    with Screen(canvas) as screen:
        screen.feed("", "let me see")
        screen._frame()
        screen.feed("answer")
        screen._frame()
    assert [line for line in shown(canvas) if line] == ["let me see", "answer"]


async def test_escape_codes_of_a_model_do_not_reach_the_terminal() -> None:
    canvas = console()
    lines = await drawn(["a\x1b]0;title\x07b\x1b[2J"], canvas)
    assert lines == ["a]0;titleb[2J"]


@pytest.mark.parametrize(
    ("text", "done"), [("a", ""), ("a\n\nb", ""), ("a\n\nb\n", "a\n\n"), ("- a\n- b\n", ""), ("1. a\n\n1", "")]
)
def test_only_what_cannot_change_is_settled(text: str, done: str) -> None:
    assert text[: settled(text)] == done


@given(BLOCKS, st.sampled_from(["", "\n", "\n\nmore", "- x"]))
def test_what_is_settled_stays_so(blocks: list[str], more: str) -> None:
    text = "\n\n".join(blocks)
    assert settled(text + more) >= settled(text)


def test_plain_is_as_it_comes() -> None:
    canvas = console()
    with Plain(canvas) as screen:
        screen.feed("", "hm")
        screen.feed("**a** \x1b[31m")
        screen.feed("[b]")
    assert shown(canvas) == ["hm", "", "**a** [31m[b]", ""]
