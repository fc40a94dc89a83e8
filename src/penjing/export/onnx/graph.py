"""The decoder as an ONNX graph: `input_ids` and `position_ids` [1, n], caches that grow, logits of every position.

Does not know: quantization, runtimes.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from penjing.export.decoder.cache import Growing
from penjing.export.decoder.model import Decoder, Norm
from penjing.export.onnx import names, stamp

if TYPE_CHECKING:
    import onnx

OPSET = 21
"""The first whose types of four bits quantized embeddings need; ONNX Runtime has it since 1.18."""
LONGEST = 1 << 20
"""Tokens beyond which no axis goes; a bound that the tracer wants."""
EXAMPLE, EXAMPLE_PAST = 5, 3
EMBEDDING, HEAD = "embedding.weight", "head.weight"
"""What the two ends of the model are called in the graph."""
PREFIX = "form.decoder."
LAYER = re.compile(r"layers\.(\d+)\.(.+)")
Traced = tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]
"""Logits, keys and values of all layers, and what each layer gave."""
NOISY = ("torch.onnx", "onnxscript", "onnx_ir")


class Product(nn.Module):
    """A linear layer as one product with a matrix [in, out] that lies in the file, which quantizers look for."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.t().contiguous(), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        made = torch.matmul(x, self.weight)
        return made if self.bias is None else made + self.bias


class Graph(nn.Module):
    """What is traced: `Growing` with GenAI's inputs, logits in float32, and what each layer gives to the next."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.form = Growing(decoder)
        given: list[Tensor] = []  # not the module's own, which would be taken for its state
        self._given: Callable[[], list[Tensor]] = lambda: given

        def note(_layer: nn.Module, _read: object, made: Tensor) -> None:
            given.append(made)

        for layer in decoder.layers:
            layer.register_forward_hook(note)

    def forward(self, input_ids: Tensor, position_ids: Tensor, k: list[Tensor], v: list[Tensor]) -> Traced:
        """`input_ids` and `position_ids` [1, n] int64."""
        given = self._given()
        given.clear()
        logits, keys, values = self.form(input_ids, position_ids[0], k, v)
        return logits.float(), keys, values, list(given)


def products(module: nn.Module) -> nn.Module:
    """`module` with its linear layers as products."""
    for name, child in module.named_children():
        setattr(module, name, Product(child) if isinstance(child, nn.Linear) else products(child))
    return module


def build(decoder: Decoder, *, half: bool = False, share: bool = False) -> onnx.ModelProto:
    """The graph of `decoder`, which is used up on the way: in float32, or in float16 with its caches. With `share` a
    head that is the embedding lies in the file once. Raises what torch's exporter raises."""
    head = decoder.head
    products(decoder)
    if share and decoder.tied:
        decoder.head = head
        head.weight = decoder.embedding.weight
    if half:
        halve(decoder)
    chosen = stamp.sample(decoder)
    numbers = [{name: each.data for name, each in layer.named_parameters()} for layer in decoder.layers]
    _few(decoder, chosen.traced)
    made = _trace(decoder, chosen.traced, torch.float16 if half else torch.float32)
    _name(made, chosen.traced)
    stamp.stamp(made, chosen, lambda layer: numbers[layer])
    _products(made)
    return made


def halve(decoder: Decoder) -> None:
    """In float16 but for the norms, which compute in float32 anyway."""
    exact = [(each, each.weight.data) for each in decoder.modules() if isinstance(each, Norm)]
    decoder.half()
    for norm, weight in exact:
        norm.weight.data = weight


def _few(decoder: Decoder, layers: Sequence[int]) -> None:
    """Leave these layers only, with random numbers for their vectors: the tracer would make one of such as are equal,
    as many norms of many models are."""
    shape = decoder.shape
    decoder.layers = nn.ModuleList(decoder.layers[layer] for layer in layers)
    decoder.shape = replace(shape, layers=len(layers), sliding=tuple(shape.sliding[layer] for layer in layers))
    for place, layer in enumerate(decoder.layers):
        layer.index = place
        for each in layer.parameters():
            if each.dim() == 1:
                each.data = torch.rand_like(each)


def _trace(decoder: Decoder, layers: Sequence[int], dtype: torch.dtype) -> onnx.ModelProto:
    """`decoder` with caches in `dtype`, where its layers are called `layers`."""
    graph = Graph(decoder).eval()
    k, v = ([each.to(dtype) for each in part] for part in graph.form.empty(EXAMPLE_PAST))
    ids = torch.zeros(1, EXAMPLE, dtype=torch.int64)
    positions = torch.arange(EXAMPLE_PAST, EXAMPLE_PAST + EXAMPLE)[None]
    n, past = torch.export.Dim("sequence", min=1, max=LONGEST), torch.export.Dim("past", min=0, max=LONGEST)
    cached = names.caches(layers)
    with torch.no_grad(), _hushed():
        program = torch.onnx.export(
            graph,
            (ids, positions, k, v),
            dynamo=True,
            dynamic_shapes={
                "input_ids": {1: n},
                "position_ids": {1: n},
                "k": [{2: past} for _ in layers],
                "v": [{2: past} for _ in layers],
            },
            input_names=[names.IDS, names.POSITIONS, *(given for given, _ in cached)],
            output_names=[names.LOGITS, *(kept for _, kept in cached), *map(stamp.after, layers)],
            opset_version=OPSET,
            verbose=False,
        )
        made: onnx.ModelProto = program.model_proto
    return made


def _name(model: onnx.ModelProto, layers: Sequence[int]) -> None:
    """Weights without the way to the decoder, and those of traced layers under the names of `layers`. What the tracer
    noted of its own source, with this machine's paths, goes."""
    _forget(model)
    for weight in model.graph.initializer:
        weight.name = _plain(weight.name, layers)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = _plain(name, layers)


def _plain(name: str, layers: Sequence[int]) -> str:
    name = name.removeprefix(PREFIX)
    found = LAYER.fullmatch(name)
    return stamp.weights(layers[int(found[1])]) + found[2] if found else name


def _products(model: onnx.ModelProto) -> None:
    """Products are called by their weights: what a message about one can be read by."""
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1].endswith(".weight"):
            node.name = node.input[1]


def _forget(model: onnx.ModelProto) -> None:
    """Without the tracer's notes."""
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    for part in (*model.graph.input, *model.graph.output):
        del part.metadata_props[:]


@contextmanager
def _hushed() -> Iterator[None]:
    """Without the tracer's talk, which is about itself."""
    levels = {name: logging.getLogger(name).level for name in NOISY}
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
