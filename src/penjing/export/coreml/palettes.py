"""Layers' weights as palettes: every few rows share a table of values, chosen by k-means in which a weight counts by
what the model loses when it changes (squared gradients on calibration text; SqueezeLLM, arXiv 2306.07629). Which value
a weight gets is then settled column by column, so that later ones make good what earlier ones got wrong (`blocks`), as
later layers do (`activations`).

Does not know: where calibration text comes from, programs.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penjing.export import blocks
from penjing.export.activations import Products, walk
from penjing.export.blocks import assign
from penjing.export.coreml.toolbox import coremltools, quiet
from penjing.export.decoder.model import Decoder
from penjing.progress import Progress, Report, span

GROUP = 16
"""Rows that share a palette, at most (Apple's advice): a table of 16 halves beside 16 rows costs next to nothing."""
EVENLY = 0.3
"""Added to each weight's importance, as a share of the mean: what calibration text does not touch counts a little."""
MEASURING = 0.4
"""The share of the work that measuring takes, about."""


def palettize(decoder: Decoder, bits: int, windows: Sequence[NDArray[np.int64]], report: Report) -> None:
    """Replace the matrices of `decoder`'s layers by what palettes of `bits` bits can say, and leave word of the tables
    where the converter looks for it. `report` may raise to cancel."""
    found = importance(decoder, windows, report)
    group = math.gcd(GROUP, *(matrix.shape[0] for matrix in _matrices(decoder).values()))

    def put(layer: nn.Module, products: dict[str, Products]) -> None:
        prefix = f"layers.{layer.index}."
        weights = {name: layer.get_submodule(name).get_parameter("weight") for name in products}
        wanted = {name: each.aim(weights[name]) for name, each in products.items()}
        for name, weight in weights.items():
            weight.copy_(wanted[name])
        own = {key.removeprefix(prefix): each for key, each in found.items() if key.startswith(prefix)}
        _cluster(layer, bits, group, own)
        for name, each in products.items():
            weight = layer.get_submodule(name).get_parameter("weight")  # clustering may have put another there
            weight.copy_(assign(wanted[name], _tables(weight, group, 1 << bits), each.now))

    short = [window[: blocks.LENGTH] for window in windows]
    walk(decoder, short, 1, put, span(report, MEASURING, 1))


def _tables(weight: Tensor, group: int, levels: int) -> Tensor:
    """The numbers that every `group` rows of a clustered matrix are made of, [groups, levels]; some may come twice."""
    found = [torch.unique(rows)[:levels] for rows in weight.split(group)]
    return torch.stack([torch.cat([each, each[-1:].expand(levels - len(each))]) for each in found])


def importance(decoder: Decoder, windows: Sequence[NDArray[np.int64]], report: Report) -> dict[str, Tensor]:
    """For each weight of the layers' matrices the mean of its squared gradient over `windows`, 1 on average, under the
    matrix's name in `decoder`."""
    matrices = _matrices(decoder)
    squares = {name: torch.zeros_like(matrix) for name, matrix in matrices.items()}

    def keep(name: str) -> None:
        matrix = matrices[name]

        def add(parameter: Tensor) -> None:
            squares[name] += parameter.grad.square() if parameter.grad is not None else 0
            parameter.grad = None  # one matrix's gradient at a time is enough memory

        handles.append(matrix.requires_grad_(True).register_post_accumulate_grad_hook(add))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in matrices:
        keep(name)
    try:
        for done, window in enumerate(windows):
            report(Progress(MEASURING * done / len(windows), "measuring"))
            _loss(decoder, torch.from_numpy(window)).backward()
    finally:
        for handle in handles:
            handle.remove()
        decoder.requires_grad_(False)
    return {name: each / each.mean().clamp(min=1e-30) + EVENLY for name, each in squares.items()}


def _matrices(decoder: Decoder) -> dict[str, nn.Parameter]:
    return {f"layers.{name}": each for name, each in decoder.layers.named_parameters() if each.ndim == 2}


def _loss(decoder: Decoder, tokens: Tensor) -> Tensor:
    """Mean nats a token of `tokens` [n]."""
    count = len(tokens)
    logits = decoder(tokens[None], torch.arange(count), count, lambda layer, keys, values: (keys, values))
    return nn.functional.cross_entropy(logits[0, :-1], tokens[1:])


def _cluster(layer: nn.Module, bits: int, group: int, weights: dict[str, Tensor]) -> None:
    palettization = coremltools().optimize.torch.palettization
    choice = {"n_bits": bits, "granularity": "per_grouped_channel", "group_size": group}
    config = palettization.SKMPalettizerConfig.from_dict({"global_config": choice})
    with quiet(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "importance.pt"
        torch.save(weights, path)
        palettization.SKMPalettizer(layer, config).compress(sensitivity_path=str(path), inplace=True)
