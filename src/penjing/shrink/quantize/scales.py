"""The scales of rows moved, codes as they are, to where the error e^T H e is least.

Does not know: how codes are chosen.
"""

from __future__ import annotations

import numpy as np

from penjing.shrink.quantize.fields import Floats
from penjing.shrink.quantize.state import State, dots

TINY = 1e-12
SOUND = 1e-6
"""Share of a product that a determinant is at least, where two scales can be told apart."""


def rescale(state: State) -> Floats:
    """The scales and minima of parts, then those of blocks. Returns the gradient H e there, [columns, n]."""
    if state.form.scales[0] < state.form.scales[1]:
        _parts(state)
    return _blocks(state)


def _parts(state: State) -> None:
    """Whole-number scales and minima, part by part."""
    form, width = state.form, state.form.width
    gradient, product = state.gradient(), state.product
    moved = np.empty_like(state.now)
    for part in range(len(state.scales)):
        block, begin = part // state.parts, part * width
        mine = slice(begin, begin + width)
        own = product[mine, mine]
        steep = gradient[mine]
        if begin:
            steep += product[mine, :begin] @ moved[:begin]  # what the parts before have changed
        direction = state.levels(mine)
        direction *= state.d[block]
        high = own @ direction
        change = _moved(state.scales[part], dots(direction, steep), dots(direction, high), form.scales)
        np.multiply(direction, change, out=moved[mine])
        if form.minima[0] < form.minima[1]:
            dmin = state.dmin[block]
            high *= change
            high += steep
            moved[mine] -= dmin * _moved(state.minima[part], -dmin * high.sum(0), dmin**2 * own.sum(), form.minima)
    state.now += moved


def _moved(whole: Floats, steep: Floats, bend: Floats, limits: tuple[int, int]) -> Floats:
    """`whole` [n] becomes the best whole number: by how much it changed. `steep` and `bend` are half the first and
    second derivative of the error."""
    best = whole - _quotient(steep, bend)
    np.rint(best, out=best)
    np.clip(best, *limits, out=best)
    change = best - whole
    whole[:] = best
    return change


def _blocks(state: State) -> Floats:
    """`d` and `dmin` of each block by least squares, rounded to f16, kept where the error falls."""
    form, product = state.form, state.product
    gradient = state.gradient()
    for block in range(len(state.d)):
        mine = slice(block * form.block, (block + 1) * form.block)
        parts = slice(block * state.parts, (block + 1) * state.parts)
        lift = state.levels(mine)
        state.by_part(lift)[...] *= state.scales[parts, None]
        scales, ways, images = [state.d[block]], [lift], [product[:, mine] @ lift]
        if form.minima[0] < form.minima[1]:
            drop = -state.minima[parts]
            scales.append(state.dmin[block])
            ways.append(np.repeat(drop, form.width, axis=0))
            images.append(product[:, mine].reshape(len(product), -1, form.width).sum(2) @ drop)
        steep = [dots(way, gradient[mine]) for way in ways]
        bends = [dots(way, image[mine]) for at, way in enumerate(ways) for image in images[at:]]
        for scale, best, image in zip(scales, _least(scales, steep, bends), images, strict=True):
            gradient += (best - scale) * image
            scale[:] = best
    state.spread()
    return gradient


def _least(scales: list[Floats], steep: list[Floats], bends: list[Floats]) -> list[Floats]:
    """Where `scales` ([n] each, one or two of them) make the error least, as f16; as they are where that does not
    help. `steep` and `bends` (11, 12, 22) are half the first and second derivatives."""
    if len(scales) == 1:
        changes = [_quotient(-steep[0], bends[0])]
    else:
        first, both, second = bends
        determinant = first * second - both * both
        sound = determinant > SOUND * np.maximum(first * second, TINY)
        one = (both * steep[1] - second * steep[0]) / np.where(sound, determinant, 1)
        other = (both * steep[0] - first * steep[1]) / np.where(sound, determinant, 1)
        changes = [np.where(sound, one, _quotient(-steep[0], first)), np.where(sound, other, 0)]
    best = [_half(scale + change) for scale, change in zip(scales, changes, strict=True)]
    with np.errstate(invalid="ignore", over="ignore"):  # beyond f16: no better
        moved = [new - old for new, old in zip(best, scales, strict=True)]
        gain = 2 * moved[0] * steep[0] + moved[0] ** 2 * bends[0]
        if len(moved) == 2:
            gain += 2 * moved[1] * (steep[1] + moved[0] * bends[1]) + moved[1] ** 2 * bends[2]
        better = gain < 0
    return [np.where(better, new, old) for new, old in zip(best, scales, strict=True)]


def _quotient(above: Floats, below: Floats) -> Floats:
    """Nothing where there is nothing below."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > TINY)


def _half(numbers: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return numbers.astype(np.float16).astype(np.float32)
