"""Why something is not exported for ExecuTorch, or does not run there.

    ModelError
    └── ExecuTorchRefuses

Does not know: ExecuTorch.
"""

from __future__ import annotations

from penjing.errors import ModelError


class ExecuTorchRefuses(ModelError):
    """Facts: `path`, `detail` (ExecuTorch's own words)."""

    template = "ExecuTorch does not take {path}: {detail}"
    hint = "Export it again with the versions that penjing was tested with: pip install -U 'penjing[executorch]'"
    code = "executorch_refuses"
