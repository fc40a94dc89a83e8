from __future__ import annotations

import pytest

from penjing.engines.llamacpp.template import silent_by_default
from penjing.probe import model
from penjing.store.resolve import resolve

QWEN3 = "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>{% endif %}"
SILENT = "{% if not (enable_thinking is defined and enable_thinking) %}<think>\n\n</think>{% endif %}"


@pytest.mark.parametrize(
    ("template", "silent"),
    [
        ("", False),
        ("{{ messages[0].content }}", False),
        (QWEN3, False),
        (SILENT, True),
        ("{{ enable_thinking | default(false) }}", True),
        ("{{ enable_thinking | default(true) }}", False),
        ("{# enable_thinking #}same", False),
        ("{% if enable_thinking %}never closed", False),
        ("{{ enable_thinking.no.such.thing }}", False),
        ("{{ raise_exception('no') }}{{ enable_thinking }}", False),
    ],
)
def test_the_template_is_asked(template: str, silent: bool) -> None:
    assert silent_by_default(template) is silent


def test_the_guide_answers_at_once_unless_asked_to_think() -> None:
    assert silent_by_default(model.read(resolve("guide").path).chat_template)
