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
from penjing.export.starters import Facts, Part, State, Tensor, literal


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


def states(*names: tuple[str, str]) -> tuple[State, ...]:
    shape = ("batch", 2, "past", 64)
    return tuple(State(Tensor(given, shape, "float32"), Tensor(kept, shape, "float32")) for given, kept in names)


def test_layers_that_are_alike_are_counted() -> None:
    facts = Facts(
        "onnx",
        "guide",
        "fp32",
        {},
        state=states(*((f"past.{layer}.{part}", f"present.{layer}.{part}") for layer in range(12) for part in "kv")),
    )
    assert facts.layers == 12
    assert facts.parts == (
        Part("past.{}.k", "present.{}.k", (1, 2, 0, 64), "float32"),
        Part("past.{}.v", "present.{}.v", (1, 2, 0, 64), "float32"),
    )


@pytest.mark.parametrize(
    "names",
    [
        (("past.0", "present.0"), ("past.2", "present.2")),
        (("past.0", "present.1"), ("past.1", "present.0")),
        (("k", "k_out"), ("v", "v_out")),
        (("past.0.k", "present.0.k"), ("past.1.v", "present.1.v")),
    ],
)
def test_layers_that_are_not_alike_are_named(names: tuple[tuple[str, str], ...]) -> None:
    facts = Facts("onnx", "guide", "fp32", {}, state=states(*names))
    assert facts.layers == 1
    assert [(part.given, part.kept) for part in facts.parts] == list(names)
