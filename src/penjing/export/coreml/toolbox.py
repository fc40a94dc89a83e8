"""coremltools, loaded without its talk, and made to work with numpy 2.4.

It warns that torch and scikit-learn are newer than those it was tried with (we try it ourselves: `tests/export/coreml`)
and, on anything but macOS, that Core ML itself is not there.

Does not know: models.
"""

from __future__ import annotations

import functools
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """Neither warnings nor log lines nor bars of tqdm inside."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@functools.cache
def coremltools() -> Any:
    """The package; the first call takes seconds."""
    with quiet():
        import coremltools
        import coremltools.optimize.coreml
        import coremltools.optimize.torch
        import coremltools.optimize.torch.palettization
        from coremltools.converters.mil import Builder, register_torch_op
        from coremltools.converters.mil.frontend.torch import ops

        original = ops._int

        def whole(context: Any, node: Any) -> None:
            """`aten::Int` of a constant [1], for which coremltools 9 calls `int(array)`: numpy 2.4 refuses that."""
            value = context[node.inputs[0]].val
            if getattr(value, "shape", ()) == (1,):
                context.add(Builder.const(val=int(value[0]), name=node.name))
            else:
                original(context, node)

        register_torch_op(whole, torch_alias=["int"], override=True)
    return coremltools
