"""Planning: which steps a wish means, what is foreseen of them, what cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penjing.cli.shrink.order import outlook
from penjing.errors import PenjingError
from penjing.probe import model as probe
from penjing.probe import single
from penjing.shrink import recipe
from penjing.shrink.evaluate.questions import NotAYardstick
from penjing.shrink.planning import (
    NoSuchStepHere,
    NothingToShrink,
    NoWish,
    TwoSizes,
    Wish,
    WrongForm,
    filled,
    foresee,
    plan,
)
from penjing.shrink.quantize.budget import bytes_of
from penjing.shrink.quantize.faults import AlreadyQuantized, BudgetTooSmall
from penjing.shrink.quantize.write import quantize
from penjing.shrink.regime import Regime
from penjing.shrink.steps import quantize as quantizing
from penjing.shrink.steps.kind import Loss, Outlook, Pace
from penjing.shrink.steps.table import kinds
from penjing.shrink.work import require_there
from penjing.store.resolve import guide
from shrink.small_steps import CUT, KINDS, LOOK, SHARPEN
from tiny_checkpoint import write_checkpoint

PACE = Pace({"copy": 1e6, "train": 1e9, "read": 1e9, "encode": 1e6})
GUIDE = guide().parent


@pytest.fixture(scope="module")
def before() -> Outlook:
    return outlook(probe.read(GUIDE))


def named(found: recipe.Recipe) -> list[str]:
    return [step.kind for step in found.steps]


def test_bits(before: Outlook, tmp_path: Path) -> None:
    """The ceiling is that of the file which is made, header and words included."""
    from penjing.export.gguf.convert import convert

    found = plan(Wish(bits=4.0), before, kinds(), PACE)
    assert named(found) == ["quantize", "evaluate"]
    after = foresee(found, before, kinds(), PACE).after
    assert after.bytes == bytes_of(single.read(convert(GUIDE, tmp_path / "whole.gguf", 16).path), 4.0)
    assert after.most
    cut = foresee(plan(Wish(bits=4.0, ratio=0.2), before, kinds(), PACE), before, kinds(), PACE).after
    assert not cut.most  # nobody knows yet what is left to be quantized


def test_room_for_what_is_learned(before: Outlook, tmp_path: Path) -> None:
    """What a training asks for when it begins is in the plan; an adapter takes little of it."""
    (tmp_path / "talks.jsonl").write_text("")
    weights = 4 * before.model.parameters
    tuned = {"data": [str(tmp_path / "talks.jsonl")], "keep": 3}
    rooms = [
        foresee(recipe.Recipe((recipe.made(kinds()[kind], **options),)), before, kinds(), PACE).room
        for kind, options in (("distill", {"keep": 3}), ("finetune", {**tuned, "method": "full"}), ("finetune", tuned))
    ]
    assert rooms[:2] == [before.bytes + Regime(keep=3).room(weights)] * 2
    assert before.bytes < rooms[2] < before.bytes + Regime(keep=3).room(weights) / 4


def test_room_for_what_is_tried(before: Outlook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model is tried in whole files, a large one without any."""
    step = recipe.made(kinds()["quantize"], to="3MB")
    small = foresee(recipe.Recipe((step,)), before, kinds(), PACE).room
    monkeypatch.setattr(quantizing, "FINE", before.model.parameters - 1)
    large = foresee(recipe.Recipe((step,)), before, kinds(), PACE).room
    assert small - large == 2 * before.model.parameters
    assert large == 3_000_000 + 2 * before.model.parameters  # the result, and the checkpoint as a 16-bit file


def test_a_size_that_bits_reach(before: Outlook) -> None:
    found = plan(Wish(to=3_000_000), before, kinds(), PACE)
    assert named(found) == ["quantize", "evaluate"]
    assert recipe.values(found.steps[0])["to"] == "3MB"


def test_a_smaller_size_is_cut_too(before: Outlook) -> None:
    found = plan(Wish(to=1_700_000), before, kinds(), PACE)
    assert named(found) == ["prune", "distill", "quantize", "evaluate"]
    foreseen = foresee(found, before, kinds(), PACE)
    assert foreseen.after.bytes == 1_700_000
    assert foreseen.after.loss is None
    assert 0 < recipe.values(found.steps[0])["ratio"] < 0.5


def test_the_smallest_possible_is_named(before: Outlook) -> None:
    with pytest.raises(BudgetTooSmall, match="smallest possible is") as raised:
        plan(Wish(to=300_000), before, kinds(), PACE)
    smallest = str(raised.value.facts["smallest"])
    amount = recipe.made(kinds()["quantize"], to=smallest).options.bytes  # type: ignore[attr-defined]
    assert foresee(plan(Wish(to=amount), before, kinds(), PACE), before, kinds(), PACE).after.bytes == amount


def test_a_ratio(before: Outlook) -> None:
    found = plan(Wish(ratio=0.25), before, kinds(), PACE)
    assert named(found) == ["prune", "distill", "evaluate"]
    after = foresee(found, before, kinds(), PACE).after
    assert after.model.parameters == pytest.approx(before.model.parameters * 0.75, rel=1e-3)
    assert named(plan(Wish(ratio=0.25, bits=4), before, kinds(), PACE)) == ["prune", "distill", "quantize", "evaluate"]


@pytest.mark.parametrize(
    ("wish", "error"),
    [(Wish(), NoWish), (Wish(to=1 << 40), NothingToShrink), (Wish(to=3_000_000, bits=4.0), TwoSizes)],
)
def test_wishes_that_cannot_be(wish: Wish, error: type[PenjingError], before: Outlook) -> None:
    with pytest.raises(error):
        plan(wish, before, kinds(), PACE)


def test_what_is_not_installed_is_named(before: Outlook) -> None:
    with pytest.raises(NoSuchStepHere, match="'prune'"):
        plan(Wish(ratio=0.3), before, KINDS, PACE)


def test_names_that_steps_know_are_those_that_are_built_in() -> None:
    from penjing.shrink.evaluate.tasks import BUILT_IN

    assert set(kinds()["evaluate"].names["tasks"]) == set(BUILT_IN)
    given = {"texts": ["heldout", str(GUIDE / "yardstick.jsonl")], "tasks": "general"}
    require_there([recipe.made(kinds()["evaluate"], **given)], kinds())


def test_steps_in_an_order_that_cannot_work(before: Outlook) -> None:
    quantize, prune = recipe.made(kinds()["quantize"]), recipe.made(kinds()["prune"])
    with pytest.raises(WrongForm, match="Step 2 \\(prune\\) works on a checkpoint folder"):
        foresee(recipe.Recipe((quantize, prune)), before, kinds(), PACE)


def test_what_is_quantized_is_not_quantized_again() -> None:
    again, here = recipe.Recipe((recipe.made(kinds()["quantize"]),)), outlook(probe.read(guide()))
    with pytest.raises(AlreadyQuantized):
        foresee(again, here, kinds(), PACE)


@pytest.mark.parametrize("preset", ["Q4_K_M", "Q6_K", "Q8_0", "F16"])
def test_the_size_of_a_mixture_is_foreseen_to_the_byte(preset: str, tmp_path: Path) -> None:
    from penjing.export.gguf.convert import convert

    convert(write_checkpoint(tmp_path / "model", hidden_size=64), tmp_path / "whole.gguf", 16)
    step = recipe.made(kinds()["quantize"], preset=preset)
    foreseen = [
        foresee(recipe.Recipe((step,)), outlook(probe.read(tmp_path / name)), kinds(), PACE)
        for name in ("model", "whole.gguf")
    ]
    quantize(tmp_path / "whole.gguf", tmp_path / "small.gguf", preset)
    size = (tmp_path / "small.gguf").stat().st_size
    assert [(each.after.bytes, each.after.exact) for each in foreseen] == [(size, True), (size, True)]
    told = [remark.words("en") for remark in foreseen[0].remarks]
    assert bool(told) == preset.endswith(("K", "K_M"))  # rows of 64 and 128 are no multiple of 256


def test_the_command_line_comes_before_the_recipe(before: Outlook) -> None:
    given = recipe.parse('[[step]]\nkind = "prune"\nratio = 0.3\n[[step]]\nkind = "quantize"\nbits = 4.0', kinds())
    found = filled(given, Wish(to=2_500_000, ratio=0.1), kinds())
    assert recipe.values(found.steps[0])["ratio"] == 0.1
    assert recipe.chosen(found.steps[1]) == {"to": "2.5MB"}
    assert filled(given, Wish(), kinds()) == given
    with pytest.raises(NoSuchStepHere, match="--ratio"):
        filled(recipe.Recipe(given.steps[1:]), Wish(ratio=0.1), kinds())


def test_times_losses_and_room_add_up() -> None:
    before = Outlook(probe.read(GUIDE), "checkpoint", 1000)
    steps = tuple(recipe.made(kind, **given) for kind, given in ((SHARPEN, {}), (SHARPEN, {}), (LOOK, {})))
    found = foresee(recipe.Recipe(steps), before, KINDS, PACE)
    assert found.after.loss == Loss(pytest.approx(0.3), pytest.approx(0.6), pytest.approx(0.9))  # type: ignore[arg-type]
    assert found.room == 3000
    cut = recipe.Recipe((recipe.made(CUT, ratio=0.5),))
    first, again = foresee(cut, before, KINDS, PACE), foresee(cut, before, KINDS, replace(PACE, known={"cut": 2.0}))
    assert first.seconds.basis == "assumed"
    assert again.seconds.basis == "measured"
    assert again.seconds.likely == 2000.0
    assert first.figures()["kl_nats"] is None


def test_questions_that_cannot_be_read_are_told_before_anything_is_done(tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "model")
    asked = model / "yardstick.jsonl"
    asked.write_text('{"question": "1 + 1?", "answer": "2"}\n', encoding="utf-8")
    look = recipe.Recipe((recipe.made(kinds()["evaluate"]),))
    before = outlook(probe.read(model))
    assert foresee(look, before, kinds(), PACE).seconds.likely
    asked.write_text('{"prompt": "1 + 1"}\n', encoding="utf-8")
    with pytest.raises(NotAYardstick, match="line 1: "):
        foresee(look, before, kinds(), PACE)
    named = recipe.Recipe((recipe.made(kinds()["evaluate"], tasks=("general",)),))
    assert foresee(named, before, kinds(), PACE).seconds.likely
