"""Templates become programs: strings survive each language's rules, a name that is missing is an error."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.export import starters
from penjing.export.starters import Facts, literal


@given(st.text(st.characters(codec="utf-8")))
def test_a_text_survives_python_and_json(text: str) -> None:
    assert ast.literal_eval(literal(text, "python")) == text
    assert json.loads(literal(text, "javascript")) == text


def test_a_text_in_other_languages() -> None:
    assert literal('$a "\\\n\x01', "kotlin") == '"\\$a \\"\\\\\\n\\u0001"'
    assert literal("\x011", "cpp") == '"\\0011"'
    assert literal("\x01$", "swift") == '"\\u{1}$"'


def test_a_target_without_templates_gets_nothing(tmp_path: Path) -> None:
    assert starters.write(Facts("nothing", "guide", "fp32", {}), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "deep" / "run.py.j2"
    page.parent.mkdir()
    page.write_text("print({{ model | literal('python') }})\n")
    (tmp_path / "as-it-is.txt").write_text("{{ model }}\n")
    monkeypatch.setattr(starters, "templates", lambda target: list(starters._below(tmp_path, "")))
    written = starters.write(Facts("mine", "guide", "fp32", {}), tmp_path / "out")
    assert {str(path.relative_to(tmp_path / "out")): path.read_text() for path in written} == {
        "starter/as-it-is.txt": "{{ model }}\n",
        "starter/deep/run.py": 'print("guide")\n',
    }
    page.write_text("{{ more.nowhere }}")
    with pytest.raises(jinja2.UndefinedError):
        starters.write(Facts("mine", "guide", "fp32", {}), tmp_path / "again")
