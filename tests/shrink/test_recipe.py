"""Recipes: what is written is read, what is wrong is told with its line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import PenjingError, SettingError
from penjing.shrink import recipe
from penjing.shrink.recipe import NotARecipe, Recipe, Step, UnknownInRecipe, UnknownKind
from shrink.small_steps import CUT, KINDS, Cut, Look, Sharpen

WHOLE = """
# how it is made
[model]
name = "guide"

[[step]]
kind = "cut"
ratio = 0.3

[[step]]
kind = "sharpen"   # twice
way = "down"
"""
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
steps = st.one_of(
    st.builds(Cut, ratio=st.floats(0, 0.9), seed=st.integers(0, 1 << 40)),
    st.builds(
        Sharpen,
        steps=st.integers(1, 1 << 30),
        way=st.sampled_from(["up", "down"]),
        names=st.lists(names, max_size=3).map(tuple),
        weights=st.none() | st.dictionaries(names, st.floats(allow_nan=False), max_size=3),
    ),
    st.builds(Look, note=names),
).map(lambda options: Step(type(options).__name__.lower(), options))


@given(st.builds(Recipe, steps=st.lists(steps, min_size=1, max_size=5).map(tuple), model=names))
def test_what_is_written_is_read(written: Recipe) -> None:
    assert recipe.parse(recipe.text(written), KINDS) == written


@given(st.text())
def test_any_text_is_a_recipe_or_an_error_with_a_sentence(text: str) -> None:
    with suppress(PenjingError):
        recipe.parse(text, KINDS)


def test_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(WHOLE)
    read = recipe.load(path, KINDS)
    assert read.model == "guide"
    assert [step.options for step in read.steps] == [Cut(0.3), Sharpen(way="down")]
    assert [step.line for step in read.steps] == [6, 10]


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("[[step]\n", NotARecipe, "r.toml is not a recipe: "),
        ("", NotARecipe, "no [[step]]"),
        ("step = 3", NotARecipe, "double brackets"),
        ("[[step]]\nratio = 0.3", NotARecipe, "r.toml:1 is not a recipe: this step has no kind"),
        ('[[step]]\nkind = "cut"', NotARecipe, "r.toml:1 is not a recipe: cut needs ratio"),
        ('[[step]]\n\nkind = "cutt"', UnknownKind, "r.toml:3: there is no step of the kind 'cutt'. Nearest: cut"),
        ("[[step]]\nkind = 3", UnknownKind, "r.toml:2"),
        ('[[step]]\nkind = "cut"\nratoi = 0.3', UnknownInRecipe, "r.toml:3: unknown option 'ratoi'. Nearest: ratio"),
        (
            '[[step]]\nkind="look"\n[[step]]\nkind = "cut"\nratio = 3',
            SettingError,
            "r.toml:5) is not a number from 0.0",
        ),
        ('[[step]]\nkind = "cut"\nratio = "much"', SettingError, "cut.ratio = 'much'"),
        ('[model]\nnmae = "guide"\n[[step]]', UnknownInRecipe, "r.toml:2: unknown option 'nmae'. Nearest: name"),
        ("[model]\nname = 3\n[[step]]", SettingError, "r.toml:2"),
        ("[models]\n[[step]]", UnknownInRecipe, "Nearest: model"),
        ('[[step]]\nkind="look"\nnote = """\nratoi =\n"""\nratoi = 1', UnknownInRecipe, "r.toml:6"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    text: str, error: type[PenjingError], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(text)
    with pytest.raises(error) as raised:
        recipe.load(Path("r.toml"), KINDS)
    assert told in raised.value.message("en")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("#" * (recipe.LARGEST + 1))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("missing", "long", "bytes", "."):
        with pytest.raises(NotARecipe):
            recipe.load(tmp_path / name, KINDS)


def test_paths_begin_where_the_recipe_is(tmp_path: Path) -> None:
    text = '[[step]]\nkind = "cut"\nratio = 0.5\ntexts = "mine.txt"\nmore = ["here.txt", "known"]'
    (tmp_path / "r.toml").write_text(text)
    (tmp_path / "here.txt").write_text("")
    read = recipe.load(tmp_path / "r.toml", KINDS)
    options = read.steps[0].options
    assert isinstance(options, Cut)
    assert options.texts == tmp_path / "mine.txt"
    assert options.more == (str(tmp_path / "here.txt"), "known")
    assert recipe.parse(recipe.text(read), KINDS) == read


def test_a_step_of_the_command_line() -> None:
    step = recipe.made(CUT, ratio=0.5, texts=None)
    assert step.options == Cut(0.5)
    assert recipe.changed(step, CUT, ratio=0.25).options == Cut(0.25)
    with pytest.raises(SettingError, match="cut"):
        recipe.made(CUT, ratio=2.0)
