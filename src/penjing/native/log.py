"""The library's log, which is one for the whole process: kept quiet, its complaints kept for errors.

Does not know: which model a line is about; calls of several threads mix their lines.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque

from penjing.native.library import function

DEBUG, INFO, WARNING, ERROR = 1, 2, 3, 4
"""ggml.h, `ggml_log_level`."""
NOTHING = 5
KEPT = 32
SILENCE = "llama.cpp says nothing about it"

_Listener = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_complaints: deque[str] = deque(maxlen=KEPT)
_least = NOTHING


def _hear(level: int, text: bytes, data: object) -> None:
    if level == ERROR:
        _complaints.append(text.decode(errors="replace").strip())
    if _least <= level < NOTHING:
        sys.stderr.write(text.decode(errors="replace"))


_LISTENER = _Listener(_hear)


def listen() -> None:
    """Take over the log of llama.cpp and ggml; nothing is printed unless `tell` says so. The wheel's own server, in the
    same process, takes it over too: so this is said again for each model. Raises LibraryMissing."""
    function("llama_log_set", None, _Listener, ctypes.c_void_p)(_LISTENER, None)


def tell(least: int) -> None:
    """Print what is at least as grave to stderr from now on; NOTHING: print nothing."""
    global _least
    _least = least


def forget() -> None:
    """Drop old complaints, before a call whose complaints are wanted."""
    _complaints.clear()


def complaint() -> str:
    """The first complaint since `forget`: later ones tell of its consequences."""
    return _complaints[0] if _complaints else SILENCE
