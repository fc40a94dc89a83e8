"""Errors as llama.cpp's server tells them.

Does not know: what went wrong where.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from penjing.errors import ContextOverflow, PenjingError


def facts(error: PenjingError) -> dict[str, Any]:
    """What an answer says of `error`."""
    if isinstance(error, ContextOverflow):
        more = {"n_prompt_tokens": error.facts["tokens"], "n_ctx": error.facts["context"]}
        return {"code": 400, "message": error.message("en"), "type": "exceed_context_size_error", **more}
    return {"code": error.status, "message": error.message("en"), "type": error.kind}


def told(error: PenjingError) -> web.Response:
    """An error as an answer."""
    return web.json_response({"error": facts(error)}, status=error.status)


def refusal(status: int, message: str, kind: str) -> web.Response:
    """An answer that is none."""
    return web.json_response({"error": {"code": status, "message": message, "type": kind}}, status=status)
