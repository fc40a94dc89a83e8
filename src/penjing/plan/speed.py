"""How fast a model answers on a machine, from what the machine's kernels were measured to do: a roofline.

    reading a prompt   numbers multiplied / FLOP/s of their type + attention over what came before
    answering          bytes moved / bytes/s of their type + attention over the whole context

Both add what every step costs whatever the model is: starting each operation, and choosing a word out of the
vocabulary. Several answers at once share the reading of the weights. What is told is an interval, wider where the
machine was not measured.

Does not know: whether the model fits, GPUs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from penjing.plan.layers import layers
from penjing.plan.memory import KV_BYTES
from penjing.plan.weights import EMBEDDING, EXPERTS, OUTPUT, active, bits, tied, touched_share, used_share
from penjing.probe.calibrate import FEW, Calibration, Product
from penjing.probe.facts import Model

UBATCH = 512
"""Tokens computed at once."""
OPERATIONS = 26
"""Operations a layer that wait for one another (llama.cpp's graphs have 24 to 32 nodes a layer)."""
CHOOSING, STEP = 4.5e-9, 0.5e-3
"""Seconds a word of the vocabulary that choosing the next one takes, and seconds of a step that are the server's own
(measured on models of one narrow layer with 32,768 to 262,144 words, one answer and four at once)."""
ELEMENTWISE = 24
"""Bytes moved a token, layer and number of the hidden or feed-forward width for norms, activations, sums (three
passes of reading and writing f32)."""
WARM = 2.0
"""How much faster an expert's rows are multiplied with a further token of a prompt than with the first (llama.cpp
`ggml-cpu/repack.cpp` `forward_mul_mat_id` takes one at a time; fitted on one mixture)."""
KEPT = 0.91
"""What an engine that answers for minutes keeps of the speed that a calibration finds, which counts its fastest tries:
the median over the figures of those configurations of bench/plan_accuracy.py that may be fitted on. Of figures in a
catalogue nothing is taken: they were published of whole engines, or say how much of a machine is usable."""
NEAREST = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "F16")
RESIDUAL_DECODE, RESIDUAL_PREFILL = 0.075, 0.125
"""What predictions may be off where the machine was measured, as a share: half of what is allowed of them (15 % in
decode, 25 % in prefill), not what bench/plan_accuracy.py found, which is too little yet to be a statistic."""
SIGMAS = 2.0
"""Half of the interval is so many times what predictions and the calibration's tries are off."""
ASSUMED_MARGIN = 0.4
"""Half of the interval where the machine's own figures are assumed."""
MOST_MARGIN = 0.9
"""A spread that says nothing leaves this."""


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
    kept = KEPT if calibration.when else 1.0
    seconds = line.prefill_seconds(load.prompt_tokens, load.past_tokens) / kept
    prefill = load.prompt_tokens / seconds
    decode = kept * load.together / line.decode_seconds(load.context_tokens, load.together, load.kv_type)
    cached = kept * load.together / line.decode_seconds(load.context_tokens, load.together, load.kv_type, cached=True)
    return Speed(
        prefill_tokens_per_s=around(prefill, prefill, RESIDUAL_PREFILL, calibration),
        decode_tokens_per_s=around(decode, cached, RESIDUAL_DECODE, calibration),
        prefill_seconds=seconds,
        assumed=not calibration.when,
    )


def around(likely: float, best: float, residual: float, calibration: Calibration) -> Interval:
    """The interval about `likely`, whose upper end is counted from `best` (what a cache may make of it). As wide as the
    planner's own `residual` and the spread of the calibration's tries together (they are independent); what other
    programs took of the processor meanwhile (`load`) may come on top, never below."""
    if not calibration.when:
        return Interval(likely * (1 - ASSUMED_MARGIN), likely, max(likely, best) * (1 + ASSUMED_MARGIN))
    margin = min(SIGMAS * math.hypot(residual, calibration.spread), MOST_MARGIN)
    return Interval(likely * (1 - margin), likely, max(likely, best) * (1 + margin + calibration.load))


@dataclass(frozen=True)
class Roofline:
    """`model` under `calibration`."""

    model: Model
    calibration: Calibration

    def prefill_seconds(self, tokens: int, past: int = 0) -> float:
        """Seconds from the prompt's arrival to the first word."""
        seconds, done = self._output(1), 0
        while done < tokens:
            batch = min(UBATCH, tokens - done)
            seconds += self._batch_seconds(batch, past + done)
            done += batch
        return seconds

    def decode_seconds(
        self, context: int = 0, together: int = 1, kv_type: str = "f16", *, cached: bool = False
    ) -> float:
        """Seconds of one step, in which each of `together` answers grows by a word. `cached`: what weights fit a cache
        are read from there, which they are while no other program needs it."""
        share = touched_share(self.model, together) / used_share(self.model)
        width = max(KV_BYTES["f16"], KV_BYTES[kv_type])  # fewer bits, but to be unpacked
        weights, experts = active(self.model), active(self.model, experts=True)
        routed = {kind: experts.get(kind, (0, 0))[0] for kind in weights}
        gain = (
            self._cached(sum(size + routed[kind] * (share - 1) for kind, (size, _) in weights.items()))
            if cached
            else 1.0
        )
        seconds = 0.0
        for kind, (size, _) in weights.items():
            seconds += self._few(kind, size - routed[kind], together, gain)
            seconds += self._few(kind, routed[kind] * share, together / share, gain)
        seconds += together * self._attended(context) * width / self.calibration.attention.decode
        seconds += together * (self._elementwise() + self.model.vocabulary * CHOOSING)
        return seconds + self._starting() + STEP

    def _batch_seconds(self, tokens: int, past: int) -> float:
        """One micro-batch: the longer of computing and reading the weights, for each type. Experts compute one token
        at a time, with rows that the token before left in a cache."""
        share = touched_share(self.model, tokens) / used_share(self.model)
        seconds = 0.0
        for kind, (size, numbers) in self._body(experts=False).items():
            product = self._product(kind)
            seconds += max(2 * numbers * tokens / product.prefill, size / product.decode)
        for kind, (size, numbers) in self._body(experts=True).items():
            product = self._product(kind)
            alone = max(2 * numbers * tokens / product.prefill, size * tokens / (product.decode * WARM))
            seconds += max(alone, size * share / product.decode)
        attended = self._attended(past + tokens / 2)
        seconds += 2 * attended * tokens / self.calibration.attention.prefill
        return seconds + self._elementwise() * tokens + self._starting()

    def _few(self, kind: str, size: float, tokens: float, gain: float) -> float:
        """Seconds of multiplying `size` bytes of weights with a few tokens: each further one takes as much longer as it
        did while the machine was measured, which is computing and no reading."""
        product = self._product(kind)
        further = max(0.0, 1 / product.few - 1 / product.decode) / (FEW - 1)
        return size * (1 / (product.decode * gain) + further * (tokens - 1))

    def _cached(self, size: float) -> float:
        """How much faster than from memory `size` bytes are read over and over."""
        return max(1.0, reading(self.calibration.reading, size) / self.calibration.bandwidth)

    def _output(self, tokens: int) -> float:
        """The next word of each of `tokens`: the output's matrix, and choosing."""
        name = EMBEDDING if tied(self.model) else OUTPUT
        seconds = sum(
            self._few(tensor.type, tensor.bytes, tokens, 1.0) for tensor in self.model.tensors if tensor.name == name
        )
        return seconds + tokens * self.model.vocabulary * CHOOSING + STEP

    def _body(self, *, experts: bool) -> dict[str, tuple[float, float]]:
        """Bytes and numbers that each token of a prompt is multiplied with, by type, of experts or all else; not the
        output and the last layer's feed-forward part, which only the last token needs."""
        share, last = used_share(self.model), f"blk.{self.model.layers - 1}.ffn"
        found: dict[str, tuple[float, float]] = {}
        for tensor in self.model.tensors:
            if len(tensor.shape) < 2 or tensor.name in (EMBEDDING, OUTPUT) or tensor.name.startswith(last):
                continue
            if (EXPERTS in tensor.name) == experts:
                part = share if experts else 1.0
                size, numbers = found.get(tensor.type, (0.0, 0.0))
                found[tensor.type] = size + tensor.bytes * part, numbers + tensor.elements * part
        return found if found or experts else dict(active(self.model))

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
            return Product(prefill=rate * 8, decode=rate, few=rate)
        return known[min(near, key=lambda name: abs(bits(name) - bits(kind)))]


def reading(points: tuple[tuple[int, float], ...], size: float) -> float:
    """Bytes a second at which `size` bytes are read over and over, between the measured `points` (by the logarithm of
    the size); outside them the nearest's.

    >>> reading(((1024, 40.0), (4096, 20.0)), 2048)
    30.0
    """
    before = points[0]
    for point in points:
        if size <= point[0]:
            if point[0] == before[0]:
                return point[1]
            share = math.log(size / before[0]) / math.log(point[0] / before[0])
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]
