"""The built-in model with every matrix at two bits a weight, made from its 16-bit weights: a version that is worse, as
a release that went wrong is. Q2_K alone costs this model little; with its feed-forward parts rounded to three values
(TQ2_0) every second answer is wrong."""

from __future__ import annotations

from pathlib import Path

from penjing.probe import gguf, single
from penjing.probe.view import viewing
from penjing.shrink import container
from penjing.shrink.container import Info
from penjing.shrink.rows import Rows
from penjing.shrink.stream import Flow, write
from penjing.store.resolve import resolve

MOSTLY_Q2_K = 10
"""llama.h, llama_ftype."""


def write_two_bit_guide(path: Path) -> Path:
    """Into `path`; needs PENJING_HOME for the 16-bit copy on the way."""
    model = single.read(resolve("guide", bits=16).path)
    flows = []
    for tensor in model.tensors:
        two_bits = "TQ2_0" if "ffn_down" in tensor.name else "Q2_K"
        kind = two_bits if len(tensor.shape) == 2 else "F32"
        flows.append(Flow(Info(tensor.name, tensor.shape, kind), Rows(model.path.parent / tensor.file, tensor)))
    header = gguf.read(model.files[0])
    with viewing(model.files[0]) as view:
        kept = [view.content[begin:end] for key, (begin, end) in header.spans.items() if key != "general.file_type"]
    write(path, kept + container.pack({"general.file_type": MOSTLY_Q2_K}), flows, stage="quantizing")
    return path
