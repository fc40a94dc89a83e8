"""What stands around a question, and where an answer ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.export import manner
from penjing.shrink.texts.template import TemplateRefuses
from penjing.store.resolve import guide


def test_the_guide_is_asked_without_thinking_first() -> None:
    found = manner.read(guide().parent)
    assert found.before == "<|im_start|>user\n"
    assert found.after.startswith("<|im_end|>\n<|im_start|>assistant\n")
    assert found.end_tokens == (2, 0)
    assert found.context == 1024


def test_a_model_without_a_template_reads_its_first_token(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"eos_token_id": 7}}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<s>"}}))
    assert manner.read(tmp_path) == manner.Manner("<s>", "", (7,), 0)


@pytest.mark.parametrize("template", ["no question at all", "{{ messages[0].content }} {{ messages[0].content }}"])
def test_a_template_that_changes_the_question_is_refused(template: str) -> None:
    with pytest.raises(TemplateRefuses):
        manner.around(template)
