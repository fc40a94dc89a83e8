"""One item of an answer while it is being written, and what is told of it."""

from __future__ import annotations

from typing import Any

from penjing.gateway.dialects.responses import said

PREFIX = {"message": "msg", "reasoning": "rs", "summary": "rs", "function_call": "fc"}
DELTA = {
    "message": "response.output_text",
    "reasoning": "response.reasoning_text",
    "summary": "response.reasoning_summary_text",
    "function_call": "response.function_call_arguments",
}
PART = {
    "message": "response.content_part",
    "reasoning": "response.content_part",
    "summary": "response.reasoning_summary_part",
}

Told = list[dict[str, Any]]
"""Events without their numbers and places."""


class Growing:
    """`kind` is that of an item, or `summary` for thoughts that stand in place of one."""

    def __init__(self, kind: str, *, text: str = "", call_id: str = "", name: str = "") -> None:
        self.kind = kind
        self._id = said.new(PREFIX[kind])
        self._texts = [text] if text else []
        self._call_id = call_id
        self._name = name

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def item(self, status: str) -> dict[str, Any]:
        """The item as it is now."""
        if self.kind == "message":
            return said.message(self._id, self.text, status)
        if self.kind == "function_call":
            return said.call(self._id, self._call_id, self._name, self.text, status)
        return said.reasoning(self._id, self.text, status, summed=self.kind == "summary")

    def begin(self) -> Told:
        empty = self.item("in_progress")
        for field in ("content", "summary"):
            if field in empty:
                empty[field] = []
        told: Told = [{"type": "response.output_item.added", "item": empty}]
        if self.kind in PART:
            told.append({"type": f"{PART[self.kind]}.added", **self._place(), "part": self._part("")})
        return told

    def more(self, text: str) -> Told:
        self._texts.append(text)
        logprobs: dict[str, Any] = {"logprobs": []} if self.kind == "message" else {}
        return [{"type": f"{DELTA[self.kind]}.delta", **self._place(), "delta": text, **logprobs}]

    def end(self, status: str) -> Told:
        text = self.text
        done: dict[str, Any] = {"type": f"{DELTA[self.kind]}.done", **self._place()}
        if self.kind == "function_call":
            told: Told = [done | {"name": self._name, "arguments": text}]
        else:
            logprobs: dict[str, Any] = {"logprobs": []} if self.kind == "message" else {}
            part = {"type": f"{PART[self.kind]}.done", **self._place(), "part": self._part(text)}
            told = [done | {"text": text, **logprobs}, part]
        return [*told, {"type": "response.output_item.done", "item": self.item(status)}]

    def _place(self) -> dict[str, Any]:
        """Which part of which item; a call has no parts."""
        if self.kind == "function_call":
            return {"item_id": self._id}
        return {"item_id": self._id, "summary_index" if self.kind == "summary" else "content_index": 0}

    def _part(self, text: str) -> dict[str, Any]:
        if self.kind == "message":
            return said.text_part(text)
        return {"type": "summary_text" if self.kind == "summary" else "reasoning_text", "text": text}
