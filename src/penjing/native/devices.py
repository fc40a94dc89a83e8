"""What a library can compute on: `python -m penjing.native.devices PATH VERSION`, in a process of its own, because
loading one costs memory and threads, and starts a GPU's driver.

    stdout  a line of JSON: name, description, memory_free and memory_total in bytes, gpu

Which backends a library has was decided when it was compiled. Functions and structure: ggml-backend.h.

Does not know: which libraries there are, what is made of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

from penjing.native import log
from penjing.native.library import function, take

GPUS = (1, 2)
"""`GGML_BACKEND_DEVICE_TYPE_GPU` and `_IGPU`."""
ROOM = 256
"""Bytes that are more than any revision's `ggml_backend_dev_props` has behind those that are read."""


class Properties(ctypes.Structure):
    """The beginning of `ggml_backend_dev_props`, the same in all revisions whose layouts are known."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("rest", ctypes.c_byte * ROOM),
    )


def main() -> int:
    """Print them; the exit status of the process."""
    told = os.dup(1)
    os.dup2(2, 1)  # drivers print too
    take(*sys.argv[1:])
    log.listen()
    os.write(told, json.dumps(found()).encode() + b"\n")
    return 0


def found() -> list[dict[str, Any]]:
    """Devices of the library that is loaded. Raises LibraryMissing."""
    count = function("ggml_backend_dev_count", ctypes.c_size_t)
    get = function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    kind = function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    ask = function("ggml_backend_dev_get_props", None, ctypes.c_void_p, ctypes.POINTER(Properties))
    devices = []
    for number in range(count()):
        device, told = get(number), Properties()
        ask(device, ctypes.byref(told))
        devices.append(
            {
                "name": told.name.decode(errors="replace"),
                "description": told.description.decode(errors="replace"),
                "memory_free": told.memory_free,
                "memory_total": told.memory_total,
                "gpu": kind(device) in GPUS,
            }
        )
    return devices


if __name__ == "__main__":
    sys.exit(main())
