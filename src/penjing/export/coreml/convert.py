"""From the stateful decoder to a Core ML program in half precision (iOS 18, macOS 15: the first with states).

Does not know: how weights are made smaller, files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from penjing.export.coreml.names import FULL, IDS, KEYS, LOGITS, MASKS, POSITION, SLIDING, VALUES
from penjing.export.coreml.stateful import Stateful
from penjing.export.coreml.toolbox import coremltools, quiet


def convert(module: Stateful, metadata: dict[str, str]) -> Any:
    """The program of `module` as an MLModel that was not loaded (it cannot be, except on macOS)."""
    ct = coremltools()
    with quiet(), torch.no_grad():
        traced = torch.jit.trace(module, tuple(module.inputs().values()), check_trace=False)
        model = ct.convert(
            traced,
            inputs=_inputs(ct, module),
            outputs=[ct.TensorType(name=LOGITS, dtype=np.float16)],
            states=[_state(ct, name, module) for name in (KEYS, VALUES)],
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
        )
    model.user_defined_metadata.update(metadata)
    return model


def _inputs(ct: Any, module: Stateful) -> list[Any]:
    """Ranges that are the same length must be the same object."""
    new = module.steps or ct.RangeDim(1, module.size, default=1)
    seen = module.size if module.steps else ct.RangeDim(1, module.size, default=1)
    shapes = {IDS: (1, new), POSITION: (1,), FULL: (1, 1, new, seen), SLIDING: (1, 1, new, seen)}
    return [
        ct.TensorType(name=name, shape=shapes[name], dtype=np.float16 if name in MASKS else np.int32)
        for name in module.inputs()
    ]


def _state(ct: Any, name: str, module: Stateful) -> Any:
    shape = tuple(module.get_buffer(name).shape)
    return ct.StateType(wrapped_type=ct.TensorType(shape=shape, dtype=np.float16), name=name)
