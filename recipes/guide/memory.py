"""Choosing a model for a machine's memory, and the memory a model needs: weights in GB = billions × bits / 8."""

from __future__ import annotations

import random
from dataclasses import replace

from .facts import fill, read, wordings
from .turn import Turn

# gigabytes of memory -> largest model that leaves room for system and KV cache, its bits, an example
CHOICES: dict[int, tuple[str, int, str]] = {
    2: ("1B", 4, "qwen3:0.6b"), 4: ("3B", 4, "qwen3:1.7b"), 6: ("4B", 4, "qwen3:4b"), 8: ("8B", 4, "qwen3:8b"),
    12: ("12B", 4, "qwen3:8b"), 16: ("14B", 4, "qwen3:14b"), 24: ("24B", 4, "qwen3:14b"), 32: ("32B", 4, "qwen3:32b"),
    64: ("70B", 4, "qwen3:32b"), 128: ("70B", 8, "qwen3:32b"),
}  # fmt: skip
SIZES = (0.5, 0.6, 1, 1.5, 1.7, 2, 3, 4, 7, 8, 9, 12, 13, 14, 20, 24, 27, 30, 32, 34, 70, 72)
BITS = (2, 3, 4, 5, 6, 8, 16)
_PHRASES = read("phrases/memory")
_MEMORY = {
    "en": ["{} GB", "{}GB", "{} GB of RAM", "{} gigs", "{} gb ram", "{} gigabytes", "{}G", "{} GB RAM", "{} GB"],
    "zh": ["{} GB", "{}GB", "{}G 内存", "{} GB 内存", "{}G", "{} GB 的内存", "{}g内存", "{} GB"],
}
_BITS = {
    "en": ["{} bits", "{}-bit", "{} bit", "{}bit", "{} bits per weight", "{} bits"],
    "zh": ["{} 位", "{}位", "{} bit", "{}bit", "{} 比特", "{} 位"],
}
_HALF = ("fp16", "bf16", "f16")
_SIZE = {"en": ["{}B", "{}b", "{} B", "{}B", "{} billion"], "zh": ["{}B", "{}b", "{} B", "{}B"]}


def number(value: float) -> str:
    """A number with at most two decimals and no idle zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _memory(gigabytes: int, template: str, lang: str, rng: random.Random) -> str:
    plain = "of memory" in template or "内存" in template
    return rng.choice(_MEMORY[lang][: 2 if plain else None]).format(gigabytes)


def _bits(bits: int, lang: str, rng: random.Random) -> str:
    if bits == 16 and rng.random() < 0.4:
        return rng.choice(_HALF)
    if bits in (4, 8) and rng.random() < 0.15:
        return f"int{bits}"
    return rng.choice(_BITS[lang]).format(bits)


def _choice(gigabytes: int, lang: str) -> tuple[str, list[list[str]]]:
    size, bits, name = CHOICES[gigabytes]
    weights = number(float(size[:-1]) * bits / 8)
    if lang == "en":
        most = f"up to {size} at {bits} bits (about {weights} GB of weights)"
        said = f"With {gigabytes} GB take a model of {most}, for example {name}."
    else:
        most = f"最大 {size}、{bits} 位的模型（权重约 {weights} GB）"
        said = f"{gigabytes} GB 内存可用{most}，例如 {name}。"
    return said, [[f"{size} at {bits} bits", f"{size}、{bits} 位"]]


def _need(size: float, bits: int, lang: str) -> tuple[str, list[list[str]]]:
    n, gigabytes = number(size), number(size * bits / 8)
    if lang == "en":
        weights = f"{gigabytes} GB for the weights ({n} × {bits} / 8)"
        said = f"A {n}B model at {bits} bits needs about {weights}, plus the KV cache."
    else:
        said = f"{n}B 模型用 {bits} 位，权重约需 {gigabytes} GB（{n} × {bits} / 8），另加 KV 缓存。"
    return said, [[f"{gigabytes} GB", f"{gigabytes}GB"]]


def fits(size: float, gigabytes: int) -> bool:
    """Whether a model at 4 bits runs well in this memory, as the table of choices has it."""
    return gigabytes == 128 or size <= float(CHOICES[gigabytes][0][:-1])


def _fitting(size: float, gigabytes: int, lang: str) -> tuple[str, list[list[str]]]:
    n, weights, most = number(size), number(size / 2), CHOICES[gigabytes][0]
    good = fits(size, gigabytes)
    if lang == "en" and good:
        said = f"Yes, a {n}B model at 4 bits needs about {weights} GB, so it fits in {gigabytes} GB."
    elif lang == "en":
        room = f"too much for {gigabytes} GB beside system and KV cache; take up to {most}"
        said = f"No, a {n}B model at 4 bits needs about {weights} GB, {room}."
    elif good:
        said = f"可以，{n}B 模型用 4 位约需 {weights} GB，{gigabytes} GB 放得下。"
    else:
        said = f"不行，{n}B 模型用 4 位约需 {weights} GB，加上系统和 KV 缓存，{gigabytes} GB 放不下；最大用 {most}。"
    return said, [["fits in", "放得下"] if good else ["too much", "放不下"], [f"{weights} GB", f"{weights}GB"]]


def _chosen(gigabytes: int, question: str, lang: str, template: str) -> Turn:
    said, key = _choice(gigabytes, lang)
    return Turn(question, said, key, lang, "fact", f"memory.choose.{gigabytes}", template, None, None, (gigabytes,))


def _needed(size: float, bits: int, question: str, lang: str, template: str, think: bool) -> Turn:
    said, key = _need(size, bits, lang)
    product = number(size * bits)
    reasoning = f"{number(size)} × {bits} = {product}; {product} / 8 = {number(size * bits / 8)}"
    fact = f"memory.need.{number(size)}.{bits}"
    return Turn(question, said, key, lang, "fact", fact, template, reasoning if think else None, None, (size, bits))


def _pick(name: str, lang: str, rng: random.Random, held: bool) -> tuple[str, str]:
    asked = wordings(name, _PHRASES[name], lang)
    return rng.choice(asked.held if held else asked.train)


def choose(lang: str, rng: random.Random, held: bool = False) -> Turn:
    """Which model for so much memory?"""
    gigabytes = rng.choice(list(CHOICES))
    template, text = _pick("choose", lang, rng, held)
    question = fill(text, {"m": _memory(gigabytes, text, lang, rng)})
    return _chosen(gigabytes, question, lang, template)


def need(lang: str, rng: random.Random, held: bool = False, think: bool = False) -> Turn:
    """How much memory does a model need?"""
    size, bits = rng.choice(SIZES), rng.choice((*BITS, 4, 4, 8, 16))
    template, text = _pick("need", lang, rng, held)
    question = fill(text, {"n": rng.choice(_SIZE[lang]).format(number(size)), "b": _bits(bits, lang, rng)})
    return _needed(size, bits, question, lang, template, think)


def fit(lang: str, rng: random.Random, held: bool = False) -> Turn:
    """Does a model of this size fit in so much memory?"""
    size, gigabytes = rng.choice(SIZES), rng.choice(list(CHOICES))
    template, text = _pick("fits", lang, rng, held)
    n = rng.choice(_SIZE[lang]).format(number(size))
    question = fill(text, {"n": n, "m": _memory(gigabytes, text, lang, rng)})
    said, key = _fitting(size, gigabytes, lang)
    fact = f"memory.fits.{number(size)}.{gigabytes}"
    return Turn(question, said, key, lang, "fact", fact, template, None, None, (size, gigabytes))


def then(before: Turn, rng: random.Random, held: bool = False, think: bool = False) -> Turn:
    """The same question for another memory, other bits or another size."""
    lang = before.lang
    if len(before.state) == 1:
        gigabytes = rng.choice([g for g in CHOICES if g != before.state[0]])
        template, text = _pick("then-choose", lang, rng, held)
        return _chosen(gigabytes, fill(text, {"m": _memory(gigabytes, text, lang, rng)}), lang, template)
    size, bits = before.state[0], int(before.state[1])
    if before.fact.startswith("memory.fits"):
        return _fit_then(before, rng, held)
    if rng.random() < 0.5:
        bits = rng.choice([b for b in BITS if b != bits])
        template, text = _pick("then-bits", lang, rng, held)
        question = fill(text, {"b": _bits(bits, lang, rng)})
    else:
        size = rng.choice([s for s in SIZES if s != size])
        template, text = _pick("then-size", lang, rng, held)
        question = fill(text, {"n": rng.choice(_SIZE[lang]).format(number(size))})
    return _needed(size, bits, question, lang, template, think)


def _fit_then(before: Turn, rng: random.Random, held: bool) -> Turn:
    lang, size, gigabytes = before.lang, before.state[0], int(before.state[1])
    if rng.random() < 0.5:
        size = rng.choice([s for s in SIZES if s != size])
        template, text = _pick("then-size", lang, rng, held)
        question = fill(text, {"n": rng.choice(_SIZE[lang]).format(number(size))})
    else:
        gigabytes = rng.choice([g for g in CHOICES if g != gigabytes])
        template, text = _pick("then-choose", lang, rng, held)
        question = fill(text, {"m": _memory(gigabytes, text, lang, rng)})
    said, key = _fitting(size, gigabytes, lang)
    fact = f"memory.fits.{number(size)}.{gigabytes}"
    return Turn(question, said, key, lang, "fact", fact, template, None, None, (size, gigabytes))


def said_in(turn: Turn, lang: str) -> Turn:
    """The same answer in the other language."""
    if len(turn.state) == 1:
        said, key = _choice(int(turn.state[0]), lang)
    elif turn.fact.startswith("memory.fits"):
        said, key = _fitting(turn.state[0], int(turn.state[1]), lang)
    else:
        said, key = _need(turn.state[0], int(turn.state[1]), lang)
    return replace(turn, answer=said, key=key, lang=lang)
