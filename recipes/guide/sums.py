"""Small sums: plus and minus within 0..99, times tables to 12 and their divisions, with a worked step to think in."""

from __future__ import annotations

import random

from .facts import fill, read, wordings
from .turn import Turn

_SIGN = {"add": "+", "subtract": "-", "multiply": "×", "divide": "/"}
_PHRASES = read("phrases/arithmetic")


def kept_back(a: int, b: int) -> bool:
    """Whether this pair of numbers is for the yardstick only (plus and minus; one in twenty)."""
    return (a * 101 + b * 37) % 20 == 7


def _numbers(kind: str, rng: random.Random, held: bool) -> tuple[int, int, int]:
    while True:
        if kind in ("multiply", "divide"):
            a, b = rng.randint(0, 12), rng.randint(0, 12)
            if kind == "multiply":
                return a, b, a * b
            if b:
                return a * b, b, a
            continue
        top = 99 if held or rng.random() < 0.8 else 12
        a, b = rng.randint(0, top), rng.randint(0, top)
        if kind == "subtract" and a < b:
            a, b = b, a
        if kept_back(a, b) == held:
            return a, b, a + b if kind == "add" else a - b


def work(kind: str, a: int, b: int, result: int) -> str:
    """The worked step, short and in digits alone, so that it serves both languages."""
    if kind == "add" and (a > 9 or b > 9):
        ones, tens = a % 10 + b % 10, a // 10 + b // 10
        carry = f", carry {ones // 10}" if ones > 9 else ""
        added = f"{a // 10} + {b // 10} + {ones // 10} = {tens + ones // 10}"
        return f"{a % 10} + {b % 10} = {ones}{carry}; {added}; {result}"
    if kind == "subtract" and (a > 9 or b > 9):
        return f"{a} - {b // 10 * 10} = {a - b // 10 * 10}; {a - b // 10 * 10} - {b % 10} = {result}"
    if kind == "multiply":
        return f"{a} × {b} = {result}"
    if kind == "divide":
        return f"{b} × {result} = {a}, so {a} / {b} = {result}"
    return f"{a} {_SIGN[kind]} {b} = {result}"


def _key(result: int) -> list[list[str]]:
    return [[form.format(result) for form in ("= {}", "={}", "is {}", "是 {}", "是{}", "等于 {}", "等于{}")]]


def _turn(kind: str, a: int, b: int, result: int, question: str, lang: str, template: str, think: bool) -> Turn:
    end = "." if lang == "en" else "。"
    said = f"{a} {_SIGN[kind]} {b} = {result}{end}"
    reasoning = work(kind, a, b, result) if think else None
    return Turn(question, said, _key(result), lang, "arithmetic", f"sum.{kind}", template, reasoning, None, (result,))


def ask(lang: str, rng: random.Random, held: bool = False, think: bool = False) -> Turn:
    """A sum in words or signs."""
    kind = rng.choices(list(_SIGN), (4, 4, 2, 1))[0]
    a, b, result = _numbers(kind, rng, held)
    asked = wordings(kind, _PHRASES[kind], lang)
    template, text = rng.choice(asked.held if held else asked.train)
    return _turn(kind, a, b, result, fill(text, {"a": str(a), "b": str(b)}), lang, template, think)


def then(before: Turn, rng: random.Random, held: bool = False, think: bool = False) -> Turn:
    """After a sum: another one, or something added to its result."""
    lang = before.lang
    last = int(before.state[0])
    if last <= 99 and rng.random() < 0.5:
        b = rng.randint(0, 20)
        asked = wordings("more", _PHRASES["more"], lang)
        template, text = rng.choice(asked.held if held else asked.train)
        if held or not kept_back(last, b):
            return _turn("add", last, b, last + b, fill(text, {"b": str(b)}), lang, template, think)
    kind = rng.choice(("add", "subtract", "multiply"))
    a, b, result = _numbers(kind, rng, held)
    asked = wordings("then", _PHRASES["then"], lang)
    template, text = rng.choice(asked.held if held else asked.train)
    question = fill(text, {"s": f"{a} {_SIGN[kind]} {b}"})
    return _turn(kind, a, b, result, question, lang, template, think)
