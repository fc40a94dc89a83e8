"""Texts as windows of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.shrink.texts.faults import TextTooShort, WrongLanguage
from penjing.shrink.texts.template import TemplateRefuses, render
from penjing.shrink.texts.text import Document, Text, Turn
from penjing.shrink.texts.windows import windows
from tiny_model import CHATML

TALK = (Turn("user", "ab"), Turn("assistant", "cde"), Turn("user", "cde"), Turn("assistant", "f"))


class Letters:
    """A token for each character, as its code."""

    bos_text, eos_text = "", ""

    def __init__(self, template: str = "", bos: int | None = None, vocabulary: int = 256) -> None:
        self.template, self.bos, self.vocabulary = template, bos, vocabulary

    def tokenize(self, text: str, *, special: bool) -> Sequence[int]:
        return [ord(each) for each in text]


class Words(Letters):
    """A token for each word of Latin letters and each byte of all others."""

    def tokenize(self, text: str, *, special: bool) -> Sequence[int]:
        return [each for word in text.split() for each in ([1] if word.isascii() else word.encode())]


def text(*documents: Document) -> Text:
    return Text("t", documents)


@given(st.integers(1, 40), st.integers(2, 9), st.booleans(), st.integers(1, 4))
def test_windows_are_the_stream_cut(length: int, context: int, begins: bool, most: int) -> None:
    prose = "".join(chr(65 + each % 26) for each in range(length))
    tokenizer, room = Letters(bos=7 if begins else None), context - begins
    stream = [ord(each) for each in prose + "\n\n"]
    if len(stream) < room:
        with pytest.raises(TextTooShort):
            windows(text(Document(prose)), tokenizer, context=context, most=most)
        return
    found = windows(text(Document(prose)), tokenizer, context=context, most=most)
    assert found.tokens.dtype == np.int32
    assert found.tokens.shape == (min(len(stream) // room, most), context)
    body = found.tokens[:, begins:]
    assert body.ravel().tolist() == stream[: body.size]
    assert found.written[:, begins:].all()
    assert not begins or ((found.tokens[:, 0] == 7).all() and not found.written[:, 0].any())


@pytest.mark.parametrize("template", [CHATML, ""])
def test_answers_are_what_is_written(template: str) -> None:
    tokenizer = Letters(template)
    whole = windows(text(Document(turns=TALK)), tokenizer, context=len(render(template, TALK)) if template else 13)
    tokens, written = whole.tokens[0], whole.written[0]
    spoken = "".join(map(chr, tokens))
    answers = "".join(each if kept else "_" for each, kept in zip(spoken, written, strict=True))
    assert [each for each in answers.split("_") if each] == (["cde<", "f<"] if template else ["cde\n", "f\n"])


def test_a_text_that_can_only_be_spelt_is_told() -> None:
    tokenizer = Words(vocabulary=4096)
    english, russian = Document("one two three four five"), Document("раз два три четыре")
    assert windows(text(english, russian, english), tokenizer, context=2).tokens.size
    with pytest.raises(WrongLanguage, match="byte by byte") as told:
        windows(text(english, russian, russian), tokenizer, context=2)
    assert "раз два" in told.value.advice()
    assert windows(text(russian), Words(vocabulary=300), context=2).tokens.size


def test_too_short_says_what_is_needed() -> None:
    with pytest.raises(TextTooShort, match="7 tokens, and 24 are needed") as told:
        windows(text(Document("short")), Letters(), context=12, least=2)
    assert "--context" in told.value.advice()


def test_templates_that_know_no_system_message() -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m.content }}]{% endfor %}"
    )
    turns = (Turn("system", "S"), Turn("user", "U"))
    assert render(template, turns) == "[S\n\nU]"
    with pytest.raises(TemplateRefuses, match="no system"):
        render(template, turns[:1])
    with pytest.raises(TemplateRefuses):
        render("{% for %}", turns)


def test_a_template_cannot_leave_its_box() -> None:
    with pytest.raises(TemplateRefuses):
        render("{{ messages.__class__.__mro__ }}", TALK)
