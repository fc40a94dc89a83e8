"""JSON schemas to grammars that the loaded library understands.

The wheel's makes grammars of llguidance, and its converter is there in Python only; a native one has llama.cpp's own
converter as a C function (`data/native/schema.cpp`), to GBNF.

Does not know: who binds what by them.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

from penjing.errors import InvalidRequest
from penjing.native.library import function, has

CONVERTER = "penjing_schema_to_grammar"
ROOM = 1 << 16


def of_schema(schema: Any) -> str:
    """The grammar of `schema` (an object, or its JSON). Raises InvalidRequest for one that there is none of,
    LibraryMissing."""
    text = schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)
    return _converted(text) if has(CONVERTER) else _of_wheel(schema)


def _converted(text: str) -> str:
    convert = function(CONVERTER, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    room = ROOM
    while True:
        place = ctypes.create_string_buffer(room)
        size = int(convert(text.encode(), place, room))
        if size < room:
            break
        room = size + 1
    if size < 0:
        raise InvalidRequest(detail=f"The JSON schema cannot be used: {place.value.decode(errors='replace')}")
    return place.value.decode()


def _of_wheel(schema: Any) -> str:
    import xllamacpp

    try:
        return str(xllamacpp.json_schema_to_grammar(schema))
    except (RuntimeError, ValueError, TypeError) as error:
        raise InvalidRequest(detail=f"The JSON schema cannot be used: {error}") from None
