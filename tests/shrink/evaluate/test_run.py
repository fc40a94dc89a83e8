"""Models judged on the real engine: the built-in guide, smaller ones of it, and tiny ones with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from penjing.errors import DiskFull
from penjing.progress import Progress
from penjing.shrink.evaluate.engine import Engine, QuestionTooLong
from penjing.shrink.evaluate.measure import Kept, NotFinite, measure
from penjing.shrink.evaluate.questions import Question
from penjing.shrink.evaluate.run import OtherTokenizer, evaluate, suiting
from penjing.shrink.evaluate.tasks import Asked, NoSuchTask, task
from penjing.shrink.texts.known import builtin
from penjing.shrink.texts.text import Document, Text
from penjing.shrink.texts.windows import windows
from penjing.store.resolve import guide
from tiny_model import Shape, write_tiny_gguf
from two_bit_guide import write_two_bit_guide

PROSE = Text("prose", (Document("The quick brown fox jumps over the lazy dog. " * 12),))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def test_a_model_against_itself_loses_nothing(tiny: Path) -> None:
    told: list[Progress] = []
    found = evaluate(tiny, tiny, texts=[PROSE], context=128, threads=1, report=told.append)
    assert found.text is not None
    assert found.text.against is not None
    assert (found.text.against.kl.value, found.text.against.kl_most, found.text.against.loss.value) == (0, 0, 0)
    assert found.text.against.same.value == 1
    assert found.text.perplexity.value == pytest.approx(found.text.against.parent_perplexity)
    assert found.text.digest == PROSE.digest
    assert found.text.windows == 4
    assert found.text.tokens == 4 * (128 - 32 - 1)
    assert (found.bytes, found.parent_bytes) == (found.parent_bytes, found.bytes)
    fractions = [each.fraction for each in told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


def test_fewer_bits_lose_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide at two bits against its eight: all tokens, its answers, and how sure that is."""
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    two = write_two_bit_guide(tmp_path / "two.gguf")
    found = evaluate(two, guide(), most_windows=1, every_token=True, tasks=task("yardstick", 12), threads=1)
    assert found.text is not None
    assert found.text.against is not None
    assert found.text.name == "yardstick.en, yardstick.zh"
    assert [each.name for each in found.parts] == ["yardstick.en", "yardstick.zh"]
    assert found.text.tokens == sum(each.tokens for each in found.parts)
    kl = found.text.against.kl
    assert 0.01 < kl.low < kl.value < kl.high < 10
    assert found.text.against.kl_median < kl.value < found.text.against.kl_p99
    assert 0 < found.text.against.same.value < 1
    ratio = np.exp(found.text.against.loss.value)
    assert found.text.perplexity.value == pytest.approx(found.text.against.parent_perplexity * ratio)
    (yardstick,) = found.tasks
    assert yardstick.questions == 12
    assert yardstick.parent_accuracy is not None
    assert yardstick.lost is not None
    assert yardstick.parent_accuracy > 0.8
    assert yardstick.lost.value == pytest.approx(yardstick.parent_accuracy - yardstick.accuracy.value)
    assert found.bits_per_weight < 3
    assert found.document()["text"]["against"]["kl"]["value"] == kl.value


def test_what_is_kept_of_a_parent_is_what_it_says(tiny: Path, tmp_path: Path) -> None:
    other = write_tiny_gguf(tmp_path / "other.gguf", Shape(seed=1))
    with Engine(other, threads=1) as ours, Engine(tiny, threads=1) as theirs:
        text = windows(PROSE, ours, context=128)
        straight = measure(ours, theirs, text)
        with Kept(theirs, text) as kept:
            again = measure(ours, kept, text)
    assert straight.kl is not None
    assert again.kl is not None
    assert straight.kl.mean() > 0
    assert np.array_equal(straight.kl, again.kl)
    assert np.array_equal(straight.nll, again.nll)


def test_no_room_to_keep_a_parent_is_told_at_once(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with Engine(tiny, threads=1) as engine, pytest.raises(DiskFull, match="needed"):
        Kept(engine, windows(PROSE, engine, context=64), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_while_a_parent_is_kept(tiny: Path, tmp_path: Path) -> None:
    """The limit on a file's size (RLIMIT_FSIZE) stands for others who take the room after the first window."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Engine(tiny, threads=1) as engine:
        text = windows(PROSE, engine, context=64)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            with pytest.raises(DiskFull, match="needed") as found:
                Kept(engine, text, folder=tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "TMPDIR" in found.value.hint
    assert not list(tmp_path.iterdir())


def test_other_tokens_cannot_be_compared(tiny: Path) -> None:
    with pytest.raises(OtherTokenizer, match="do not have the same tokens"):
        evaluate(tiny, guide(), texts=[PROSE], threads=1)


def test_weights_that_are_no_numbers(tiny: Path, tmp_path: Path) -> None:
    from penjing.probe import single

    content = bytearray(tiny.read_bytes())
    norm = next(each for each in single.read(tiny).tensors if each.name == "output_norm.weight")
    content[norm.offset : norm.offset + 4] = np.float32(np.nan).tobytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content)
    with pytest.raises(NotFinite, match=r"broken\.gguf.*window 0"):
        evaluate(broken, texts=[PROSE], context=64, threads=1)


def test_cancelling_leaves_nothing_running(tiny: Path) -> None:
    def cancel(progress: Progress) -> None:
        if progress.fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(tiny, texts=[PROSE], context=64, threads=1, report=cancel)


def test_which_text_suits(tiny: Path) -> None:
    with Engine(guide(), threads=1) as engine:
        assert suiting(engine) == "yardstick"
    with Engine(tiny, threads=1) as engine:
        assert suiting(engine) == "heldout"


def test_choices_are_judged_by_their_likelihood(tiny: Path) -> None:
    """Of two choices, one of which is what the model would write, that one is chosen."""
    with Engine(guide(), threads=1) as engine:
        (written,) = engine.answers([engine.tokenize("Question: What is 3 + 4?\nAnswer:", special=False)], 6)
        right = Question(question="What is 3 + 4?", choices=("xqz vv", written.strip() or "7"), answer=1)
        wrong = Question(question="What is 3 + 4?", choices=right.choices, answer="A")
        done: list[float] = []
        assert Asked("choice", (right, wrong)).points(engine, done.append).tolist() == [1, 0]
        assert done == [0, 0.5]


def test_likelihoods_add_up(tiny: Path) -> None:
    with Engine(tiny, threads=1) as engine:
        given, then = engine.tokenize("The fox", special=False), engine.tokenize(" jumps", special=False)
        logits = engine.logits(np.array(given + then, np.int32)).astype(np.float64)
        logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        wanted = sum(logs[len(given) - 1 + at, token] for at, token in enumerate(then))
        (found,) = engine.likelihoods([(given, then)])
        assert found[0] == pytest.approx(wanted, abs=1e-3)
        assert found[1] == (logs[len(given) - 1 : -1].argmax(1) == then).all()


def test_several_answers_at_once_are_those_of_each_alone() -> None:
    document = builtin("yardstick")[0].documents[0]
    with Engine(guide(), threads=1) as engine:
        from penjing.shrink.texts.template import render

        asked = [each.turns[:1] for each in builtin("yardstick")[0].documents[:60:6]]
        prompts = [engine.tokenize(render(engine.template, each, answer=True), special=True) for each in asked]
        together = engine.answers(prompts, 40)
        assert together[0] == engine.answers(prompts[:1], 40)[0] != ""
        assert document.turns[-1].content.startswith(together[0][:20])
        assert engine.answers(prompts[:1], 3) == [
            engine.model.detokenize(engine.tokenize(together[0], special=False)[:3])
        ]
        stopped = engine.answers(prompts[:1], 40, [" weight"])[0]
        assert together[0].startswith(stopped)
        assert " weight" not in stopped
        with pytest.raises(QuestionTooLong, match="context of 1024"):
            engine.answers([prompts[0] * 200], 10)


def test_tasks_by_name(tmp_path: Path) -> None:
    with pytest.raises(NoSuchTask, match="nothing"):
        task("nothing")
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f'{{"question": "{each}", "answer": "x"}}\n' for each in range(10)))
    (found,) = task(str(path), 5)
    assert isinstance(found, Asked)
    assert [each.question for each in found.questions] == ["0", "2", "4", "6", "8"]
    assert found.digest != task(str(path))[0].digest
    assert found.metric == "answer"
