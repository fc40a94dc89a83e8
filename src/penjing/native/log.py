"""The library's log, which is one for the whole process: kept quiet, its complaints kept for errors.

Does not know: which model a line is about; calls of several threads mix their lines.
"""

from __future__ import annotations

import ctypes
from collections import deque

from penjing.native.library import function

ERROR = 4
"""ggml.h, GGML_LOG_LEVEL_ERROR."""
KEPT = 32
SILENCE = "llama.cpp says nothing about it"

_Listener = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_complaints: deque[str] = deque(maxlen=KEPT)


def _hear(level: int, text: bytes, data: object) -> None:
    if level == ERROR:
        _complaints.append(text.decode(errors="replace").strip())


_LISTENER = _Listener(_hear)


def listen() -> None:
    """Take over the log of llama.cpp and ggml; nothing is printed from now on. The wheel's own server, in the same
    process, takes it over too: so this is said again for each model. Raises LibraryMissing."""
    function("llama_log_set", None, _Listener, ctypes.c_void_p)(_LISTENER, None)


def forget() -> None:
    """Drop old complaints, before a call whose complaints are wanted."""
    _complaints.clear()


def complaint() -> str:
    """The first complaint since `forget`: later ones tell of its consequences."""
    return _complaints[0] if _complaints else SILENCE
