"""What tells one loaded model from another: the same version gives the same answer to the same question.

Files count by size and time of change, not by content: reading gigabytes at every start would cost more than a kept
answer that is thrown away without need.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version as installed
from pathlib import Path

from penjing.engines.llamacpp.settings import Settings


def version(settings: Settings) -> str:
    """16 hexadecimal digits. Raises OSError where a file is gone."""
    files = [settings.model, *(path for path, _ in settings.lora), *filter(None, (settings.mmproj,))]
    stats = [Path(path).stat() for path in files]
    parts = (
        installed("xllamacpp"),
        [(stat.st_size, stat.st_mtime_ns) for stat in stats],
        [weight for _, weight in settings.lora],
        (settings.context, settings.kv_type, settings.rope_scale, settings.gpu_layers, settings.flash_attention),
        (settings.pooling, settings.silent, settings.scheduler, settings.library_version, settings.shift),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
