"""The yardstick's judge accepts right answers and nothing else."""

import pytest
from recipes.guide.judge import holds, is_refusal, passes


@pytest.mark.parametrize(
    ("answer", "alternative", "expected"),
    [
        ("It needs about 3.5 GB.", "3.5 GB", True),
        ("It needs about 13.5 GB.", "3.5 GB", False),
        ("It needs about 1.3.5 GB.", "3.5 GB", False),
        ("17 + 5 = 22.", "= 22", True),
        ("17 + 5 = 221.", "= 22", False),
        ("17 + 5 = 22.5", "= 22", False),
        ("17 + 5 = 22。", "= 22", True),
        ("A 14B model", "4B", False),
        ("用更少的位数存放", "更少的位数", True),
        ("FEWER BITS", "fewer bits", True),
        ("Penjing (a.b) here", "(a.b)", True),
        ("Penjing (axb) here", "(a.b)", False),
    ],
)
def test_holds(answer: str, alternative: str, expected: bool) -> None:
    assert holds(answer, alternative) is expected


def test_every_group_needs_one_alternative() -> None:
    key = [["port"], ["8000", "eight thousand"]]
    assert passes("The port is eight thousand.", key)
    assert not passes("The port is 9000.", key)
    assert not passes("It is 8000.", key)
    assert not passes("", key)


def test_a_refusal_needs_both_marks() -> None:
    assert is_refusal("I am penjing's small built-in guide; run `penjing pull qwen3:0.6b`.", "en")
    assert not is_refusal("Use `penjing pull qwen3:0.6b`.", "en")
    assert not is_refusal("Hello! I am penjing's built-in guide.", "en")
    assert is_refusal("我是内置向导，请运行 penjing pull。", "zh")
    assert not is_refusal("我是内置向导。", "zh")
