"""A graph that was traced with a few layers becomes that of all: layers of one kind differ in their numbers alone.

The tracer takes seconds for each layer, so it gets the first one and one of each kind. The nodes between what such a
layer is given and what it gives are its body; the others are that body again, under other names.

Does not know: tracing, quantization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penjing.export.onnx.names import IDS, LOGITS, PARTS, POSITIONS, past, present

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from penjing.export.decoder.model import Decoder

Rename = Callable[[str], str]


@dataclass(frozen=True)
class Sample:
    """`traced` are the layers that the tracer gets, in order. `like` says for each layer which of them it is like; the
    first is like itself, since what is computed once for all layers hangs on it."""

    traced: tuple[int, ...]
    like: tuple[int, ...]

    def before(self, layer: int) -> int:
        """Whose result a traced layer got."""
        return self.traced[self.traced.index(layer) - 1]


def sample(decoder: Decoder) -> Sample:
    """The first layer, and of the others the first of each kind: with or without a window, with the same weights."""
    kinds: dict[object, int] = {}
    like = [0]
    for index in range(1, len(decoder.layers)):
        shapes = tuple((name, tuple(each.shape)) for name, each in decoder.layers[index].named_parameters())
        like.append(kinds.setdefault((decoder.shape.sliding[index], shapes), index))
    return Sample((0, *sorted(kinds.values())), tuple(like))


def after(layer: int) -> str:
    """What a layer gives to the next."""
    return f"after.{layer}"


def weights(layer: int) -> str:
    """What names of a layer's weights begin with."""
    return f"layers.{layer}."


def stamp(model: onnx.ModelProto, chosen: Sample, numbers: Callable[[int], Mapping[str, Tensor]]) -> None:
    """Make `model`, which has the layers `chosen.traced` under their own names, one of all. `numbers` are the weights
    of a layer, by their names within it. Raises RuntimeError where a weight of a traced layer is not in the graph, so
    that its copies could not have their own."""
    graph = model.graph
    bodies = {layer: _body(graph, chosen.before(layer), layer) for layer in chosen.traced[1:]}
    inside = {node.output[0] for body in bodies.values() for node in body}
    nodes = [node for node in graph.node if node.output[0] not in inside]
    for node in nodes:
        _rename(node, {after(chosen.traced[-1]): after(len(chosen.like) - 1)}.get)
    for layer, like in list(enumerate(chosen.like))[1:]:
        nodes += _copy(bodies[like], _names(bodies[like], like, layer, chosen.before(like)))
    _number(graph, chosen, numbers)
    ordered = _ordered(nodes)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(ordered)
    _ends(graph, chosen)


def _number(graph: onnx.GraphProto, chosen: Sample, numbers: Callable[[int], Mapping[str, Tensor]]) -> None:
    """Give each layer its own weights. Raises RuntimeError where a traced layer has not all of them."""
    from onnx import numpy_helper

    found = {each.name: each for each in graph.initializer}
    for layer, like in enumerate(chosen.like):
        for name, values in numbers(layer).items():
            if weights(like) + name not in found:
                raise RuntimeError(f"{weights(like)}{name} is not in the graph")
            full = weights(layer) + name
            place = found[full] if full in found else graph.initializer.add()
            place.CopyFrom(numpy_helper.from_array(values.numpy(), full))


def _body(graph: onnx.GraphProto, before: int, layer: int) -> list[onnx.NodeProto]:
    """The nodes of `layer`: what its results take and what comes from what it is given. A node is known by its first
    output, which no other has."""
    given = {after(before), *(past(layer, part) for part in PARTS)}
    makers = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    open_ones = [after(layer), *(present(layer, part) for part in PARTS)]
    while open_ones:
        name = open_ones.pop()
        node = makers.get(name)
        if name not in given and node is not None and node.output[0] not in needed:
            needed.add(node.output[0])
            open_ones.extend(node.input)
    body = []
    for node in graph.node:  # in an order in which what is needed comes first
        if node.output[0] in needed and any(name in given or name.startswith(weights(layer)) for name in node.input):
            body.append(node)
            given.update(node.output)
    return body


def _names(body: Iterable[onnx.NodeProto], like: int, layer: int, before: int) -> Rename:
    """From the names in the body of `like`, which follows `before`, to those of `layer`."""
    known = {after(before): after(layer - 1), after(like): after(layer)}
    for name in (past, present):
        known |= {name(like, part): name(layer, part) for part in PARTS}
    if layer != like:
        for node in body:
            known |= {name: f"{weights(layer)}/{name}" for name in node.output if name and name not in known}

    def renamed(name: str) -> str:
        if name.startswith(weights(like)) and name not in known:
            return weights(layer) + name.removeprefix(weights(like))
        return known.get(name, name)

    return renamed


def _copy(body: Iterable[onnx.NodeProto], renamed: Rename) -> list[onnx.NodeProto]:
    import onnx

    made = []
    for node in body:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        _rename(copy, renamed)
        copy.name = copy.output[0]  # names of nodes must differ, too
        made.append(copy)
    return made


def _rename(node: onnx.NodeProto, renamed: Callable[[str], str | None]) -> None:
    for names in (node.input, node.output):
        for place, name in enumerate(names):
            names[place] = renamed(name) or name


def _ordered(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Each after what it needs, otherwise as they come."""
    makers = {name: node for node in nodes for name in node.output}
    made: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in nodes:
        waiting = [node]
        while waiting:
            makes = (makers.get(name) for name in waiting[-1].input)
            needed = [each for each in makes if each is not None and each.output[0] not in done]
            if needed:
                waiting.append(needed[0])
                continue
            one = waiting.pop()
            if one.output[0] not in done:
                done.add(one.output[0])
                made.append(one)
    return made


def _ends(graph: onnx.GraphProto, chosen: Sample) -> None:
    """Caches of all layers in their order; what went from layer to layer stays inside."""
    import onnx

    told = {each.name: each for each in (*graph.input, *graph.output)}
    for ends, name in ((graph.input, past), (graph.output, present)):
        made = [each for each in ends if each.name in (IDS, POSITIONS, LOGITS)]
        for part in PARTS:
            for layer, like in enumerate(chosen.like):
                copy = onnx.ValueInfoProto()
                copy.CopyFrom(told[name(like, part)])
                copy.name = name(layer, part)
                made.append(copy)
        del ends[:]
        ends.extend(made)
