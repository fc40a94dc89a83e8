"""The built-in texts, and from what a person typed to texts.

    calibration   what importance and ranges are measured on: English and Chinese, prose, code and conversations
    heldout       the same kinds, other pages: what a model is judged by
    yardstick     the built-in guide's own held-out conversations

`heldout` and `yardstick` are never used for calibration. Each is two texts, one in each language.

Does not know: how files are read, tokens.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

from penjing.files import expanded
from penjing.shrink.texts.faults import NoSuchText
from penjing.shrink.texts.read import read
from penjing.shrink.texts.text import Text

CALIBRATION, HELD_OUT, YARDSTICK = "calibration", "heldout", "yardstick"
FILES = {
    CALIBRATION: ("texts", "calibration.jsonl"),
    HELD_OUT: ("texts", "heldout.jsonl"),
    YARDSTICK: ("guide", "yardstick.jsonl"),
}
LANGUAGES = ("en", "zh")


@functools.cache
def builtin(name: str) -> tuple[Text, ...]:
    """A built-in text, a part for each language (`heldout.en`, `heldout.zh`). Raises NoSuchText."""
    if name not in FILES:
        raise NoSuchText(name=name, known=", ".join(FILES))
    whole = read(Path(str(resources.files("penjing") / "data")).joinpath(*FILES[name]))
    return tuple(
        Text(f"{name}.{language}", tuple(each for each in whole.documents if each.language == language))
        for language in LANGUAGES
    )


def texts(name: str) -> tuple[Text, ...]:
    """A file or folder that is there, else a built-in text. Raises NoSuchText, NotAText."""
    path = expanded(name)
    if path.exists():
        return (read(path),)
    return builtin(name)
