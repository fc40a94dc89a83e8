"""How fast a model answers on a machine, from what the machine's kernels were measured to do: a roofline.

    reading a prompt   numbers multiplied / FLOP/s of their type + attention over what came before
    answering          bytes moved / bytes/s of their type + attention over the whole context

Both add what every step costs whatever the model is: starting each operation, and choosing a word out of the
vocabulary. Several answers at once share the reading of the weights. What is told is an interval, wider where the
machine was not measured.

Does not know: memory, whether the model fits, GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.plan.layers import layers
from penjing.plan.weights import EMBEDDING, EXPERTS, OUTPUT, active, tied, touched_share, used_share
from penjing.probe.calibrate import Calibration, Product
from penjing.probe.facts import Model
from penjing.probe.ggml import NUMBERS, TYPES

UBATCH = 512
"""Tokens computed at once."""
OPERATIONS = 26
"""Operations a layer that wait for one another (llama.cpp's graphs have 24 to 32 nodes a layer)."""
CHOOSING = 22e-9
"""Seconds a word of the vocabulary that choosing the next one takes (one machine, 128,000 to 262,000 words)."""
ELEMENTWISE = 24
"""Bytes moved a token, layer and number of the hidden or feed-forward width for norms, activations, sums (three
passes of reading and writing f32)."""
NEAREST = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "F16")
DECODE_MARGIN, PREFILL_MARGIN = 0.15, 0.25
"""Half of the interval on a machine that was measured, as a share (see bench/plan_accuracy.py)."""
NOISY = 0.15
"""Added to the upper side where other programs ran while the machine was measured."""
ASSUMED_MARGIN = 0.4
"""Half of the interval where the machine's own figures are assumed."""


@dataclass(frozen=True)
class Load:
    """What is asked: a prompt of `prompt_tokens` after `past_tokens` that are in the cache; answers that have
    `context_tokens` before them, `together` of them at once; `kv_type` is the cache's."""

    prompt_tokens: int = UBATCH
    past_tokens: int = 0
    context_tokens: int = 0
    together: int = 1
    kv_type: str = "f16"


USUAL = Load()


@dataclass(frozen=True)
class Interval:
    """Tokens a second: the one that is likely, and between which they are expected."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True)
class Speed:
    """`decode_tokens_per_s` is of all answers at once, `prefill_seconds` from the prompt's arrival to its first word.
    `assumed`: the machine was not measured, its figures are from a catalogue."""

    prefill_tokens_per_s: Interval
    decode_tokens_per_s: Interval
    prefill_seconds: float
    assumed: bool


def predict(model: Model, calibration: Calibration, load: Load = USUAL) -> Speed:
    """How fast `model` is under `load` on the machine that `calibration` tells of: a measured one
    (`probe.calibrate.kept`) or the one to expect of a device (`plan.devices.expected`)."""
    line = Roofline(model, calibration)
    assumed = not calibration.when
    noise = NOISY if calibration.noisy else 0.0
    seconds = line.prefill_seconds(load.prompt_tokens, load.past_tokens)
    prefill = load.prompt_tokens / seconds
    decode = load.together / line.decode_seconds(load.context_tokens, load.together)
    return Speed(
        prefill_tokens_per_s=around(prefill, ASSUMED_MARGIN if assumed else PREFILL_MARGIN, noise),
        decode_tokens_per_s=around(decode, ASSUMED_MARGIN if assumed else DECODE_MARGIN, noise),
        prefill_seconds=seconds,
        assumed=assumed,
    )


def around(likely: float, margin: float, noise: float) -> Interval:
    """From `margin` below to as much above; a noisy calibration is too low, never too high."""
    return Interval(likely * (1 - margin), likely, likely * (1 + margin + noise))


@dataclass(frozen=True)
class Roofline:
    """`model` under `calibration`."""

    model: Model
    calibration: Calibration

    def prefill_seconds(self, tokens: int, past: int = 0) -> float:
        """Seconds from the prompt's arrival to the first word."""
        seconds = sum(2 * numbers * tokens / self._product(kind).prefill for kind, numbers in self._body().items())
        cells = past + tokens / 2
        seconds += 2 * self._attended(cells) * tokens / self.calibration.attention.prefill
        seconds += self._elementwise() * tokens
        steps = -(-tokens // UBATCH)
        return seconds + steps * self._starting() + self.decode_seconds(past + tokens) * 0.2

    def decode_seconds(self, context: int = 0, together: int = 1) -> float:
        """Seconds of one step, in which each of `together` answers grows by a word."""
        seconds = 0.0
        spread = touched_share(self.model, together) / used_share(self.model) if self.model.experts else 1.0
        for kind, (size, numbers) in active(self.model).items():
            product = self._product(kind)
            seconds += size * spread / product.decode + 2 * numbers * (together - 1) / product.prefill
        attended = self._attended(context) * 2  # f16; llama.cpp reads each group's keys once for every query head
        seconds += together * attended / self.calibration.attention.decode
        return seconds + self._starting() + together * (self._elementwise() + self.model.vocabulary * CHOOSING)

    def _body(self) -> dict[str, float]:
        """Numbers that each token of a prompt is multiplied with, by type: all but the output, which only the last
        one needs."""
        share = used_share(self.model)
        found: dict[str, float] = {}
        for tensor in self.model.tensors:
            if len(tensor.shape) > 1 and tensor.name not in (EMBEDDING, OUTPUT):
                part = share if EXPERTS in tensor.name else 1.0
                found[tensor.type] = found.get(tensor.type, 0.0) + tensor.elements * part
        return found or {self.model.quantization: self.model.parameters - tied(self.model) * self._table()}

    def _table(self) -> int:
        return self.model.vocabulary * self.model.embedding

    def _attended(self, cells: float) -> float:
        """Numbers of keys and values that one token's query heads meet in all layers."""
        found = 0.0
        for layer, number in layers(self.model).items():
            seen = min(cells, layer.window) if layer.window else cells
            if layer.keys and not layer.values:  # compressed: every head meets the row, and again as values
                found += number * self.model.heads * 2 * layer.keys * seen
            elif layer.keys:
                found += number * self.model.heads * (self.model.key_length + self.model.value_length) * seen
        return found

    def _elementwise(self) -> float:
        """Seconds a token of everything that is no product."""
        width = 2 * self.model.embedding + self.model.feed_forward
        return self.model.layers * width * ELEMENTWISE / self.calibration.bandwidth

    def _starting(self) -> float:
        return self.model.layers * OPERATIONS * self.calibration.operation

    def _product(self, kind: str) -> Product:
        """What was measured of a type, else of the one nearest in size."""
        known = self.calibration.matmul
        if kind in known:
            return known[kind]
        near = [name for name in NEAREST if name in known] or list(known)
        if not near:
            rate = self.calibration.bandwidth
            return Product(prefill=rate * 8, decode=rate)
        return known[min(near, key=lambda name: abs(bits(name) - bits(kind)))]


def bits(kind: str) -> float:
    """Bits a number of a ggml type; of an unknown one 16.

    >>> bits("Q8_0"), bits("F16")
    (8.5, 16.0)
    """
    if kind not in NUMBERS:
        return 32.0 if kind == "F32" else 16.0
    _, block, size = TYPES[NUMBERS[kind]]
    return size * 8 / block
