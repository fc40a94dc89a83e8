"""Conversations become token ids in the model's own words, with a mask on what the assistant says.

What is learned of a turn begins where the model would begin to write: behind the prompt that the chat template makes
for it. Templates write earlier turns differently from the last one (thoughts are left out, say); where the prompt of an
earlier turn is not how the whole conversation begins, each turn becomes an example of its own, so that none is learned
in a form that the model will never be asked to write.

Does not know: files, training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.shrink.finetune.faults import NoChatTemplate, TemplateRefusesExample
from penjing.shrink.finetune.rows import Row
from penjing.shrink.packing import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = Sequence[Mapping[str, Any]]
ANSWERS, ALL = "answers", "all"
MODES: tuple[dict[str, Any], ...] = ({}, {"enable_thinking": True}, {"enable_thinking": False})
"""Ways in which a template may ask for an answer; the first that the conversation goes on from is meant."""
ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
"""The prompt that models without a chat template are taught (Stanford Alpaca, `PROMPT_DICT`)."""


@dataclass(frozen=True)
class Said:
    """A text, and the spans (first and last character, half open) of it that are learned."""

    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass
class Counts:
    """What became of the rows: `cut` examples were longer than allowed, `left_out` had no room for an answer."""

    rows: int = 0
    examples: int = 0
    tokens: int = 0
    learned: int = 0
    cut: int = 0
    left_out: int = 0


class Turns:
    """Writes rows as examples of at most `length` tokens. `learn`: `answers`, or `all` of a conversation."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int, learn: str = ANSWERS) -> None:
        self.tokenizer = tokenizer
        self.length = length
        self.learn = learn
        self.counts = Counts()
        self._ends = {tokenizer.eos_token_id} - {None}
        self._ends |= {id for token, id in tokenizer.get_added_vocab().items() if "end" in token or "eot" in token}

    def examples(self, rows: Sequence[Row]) -> list[Example]:
        """All of them; what does not fit is cut at its end, and left out where nothing learned remains. Raises
        NoChatTemplate, TemplateRefusesExample."""
        found = []
        for row in rows:
            self.counts.rows += 1
            for said in self._said(row):
                example = self._example(said)
                if not example.learned[1:].any():
                    self.counts.left_out += 1
                    continue
                found.append(example)
                self.counts.examples += 1
                self.counts.tokens += len(example.tokens)
                self.counts.learned += int(example.learned.sum())
        return found

    def _said(self, row: Row) -> list[Said]:
        if row.text:
            return [Said(self._begun(row.text), ((0, len(row.text) + 1),))]
        if not self.tokenizer.chat_template:
            return [self._plain(row)]
        try:
            found = self._conversation(row)
        except Exception as error:  # a template is a program of others: it may raise whatever it likes
            raise TemplateRefusesExample(path=str(row.path), line=row.line, detail=str(error)) from error
        if self.learn == ALL:
            return [Said(said.text, ((0, len(said.text)),)) for said in found[-1:]]
        return found

    def _plain(self, row: Row) -> Said:
        """An instruction with its output for a model without a chat template. Raises NoChatTemplate."""
        if [message["role"] for message in row.messages] != ["user", "assistant"]:
            raise NoChatTemplate(path=str(row.path), line=row.line)
        question, answer = (message["content"] for message in row.messages)
        prompt = self._begun(f"{ALPACA}### Instruction:\n{question}\n\n### Response:\n")
        first = 0 if self.learn == ALL else len(prompt)
        return Said(prompt + answer, ((first, len(prompt) + len(answer)),))

    def _begun(self, text: str) -> str:
        """`text` behind the token that the model's texts begin with, where its tokenizer adds one."""
        begin = self.tokenizer.bos_token
        ids = self.tokenizer("a")["input_ids"]
        return begin + text if begin and ids and ids[0] == self.tokenizer.bos_token_id else text

    def _conversation(self, row: Row) -> list[Said]:
        ends = [index for index, message in enumerate(row.messages) if message["role"] == "assistant"]
        whole = self._render(row.messages, row.tools)
        spans = [self._span(row, end, whole) for end in ends]
        if all(spans):
            return [Said(whole, tuple(span for span in spans if span))]
        found = []
        for end in ends:
            text = self._render(row.messages[: end + 1], row.tools)
            span = self._span(row, end, text)
            if span is None:
                raise ValueError("what it writes before an answer is not how the conversation with the answer begins")
            found.append(Said(text, (span,)))
        return found

    def _span(self, row: Row, end: int, text: str) -> tuple[int, int] | None:
        """Where in `text` the answer number `end` is; None where its prompt is not how `text` begins."""
        until = self._render(row.messages[: end + 1], row.tools)
        if not text.startswith(until):
            return None
        for mode in MODES:
            prompt = self._render(row.messages[:end], row.tools, add_generation_prompt=True, **mode)
            if until.startswith(prompt) and len(prompt) < len(until):
                return len(prompt), len(until)
        return None

    def _render(self, messages: Messages, tools: Sequence[Any], **more: Any) -> str:
        from jinja2 import TemplateError

        told = [dict(message) for message in messages]
        more["tools"] = list(tools) or None
        try:
            return str(self.tokenizer.apply_chat_template(told, tokenize=False, **more))
        except TemplateError:
            if len(told) < 2 or told[0]["role"] != "system":
                raise
        first = {**told[1], "content": f"{told[0]['content']}\n\n{told[1]['content']}"}  # it knows no system message
        return str(self.tokenizer.apply_chat_template([first, *told[2:]], tokenize=False, **more))

    def _example(self, said: Said) -> Example:
        encoded = self.tokenizer(said.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = np.asarray(encoded["input_ids"], np.int64)
        offsets = np.asarray(encoded["offset_mapping"], np.int64).reshape(-1, 2)
        learned = np.zeros(len(ids), np.bool_)
        for first, last in said.spans:
            inside = (offsets[:, 1] > first) & (offsets[:, 0] < last)
            learned |= self._until_the_end(ids, inside) if self.learn == ANSWERS else inside
        end = self.tokenizer.eos_token_id
        if end is not None and learned[-1:].any() and int(ids[-1]) not in self._ends:  # nothing says that it is over
            ids, learned = np.append(ids, end), np.append(learned, True)
        if len(ids) > self.length:
            self.counts.cut += 1
        return Example(ids[: self.length], learned[: self.length])

    def _until_the_end(self, ids: np.ndarray[Any, np.dtype[np.int64]], inside: Any) -> Any:
        """What the template writes behind an answer's last token (a line end) is not the model's to write."""
        ends = np.flatnonzero(inside & np.isin(ids, list(self._ends)))
        if len(ends):
            inside = inside.copy()
            inside[ends[-1] + 1 :] = False
        return inside
