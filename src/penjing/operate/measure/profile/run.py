"""Profiles a model: its settings as the engine would have them, a process that measures, what it found.

Engines of other kinds have profilers of their own (ONNX Runtime's, torch's); what they trace becomes `Phase`s too, and
nothing of what is shown changes.

Does not know: how it is shown.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from penjing.engines.llamacpp.options import EngineOptions
from penjing.engines.llamacpp.prepare import prepare
from penjing.errors import EngineError, InputError
from penjing.native.library import library_version
from penjing.operate.measure.profile.phase import Profile
from penjing.operate.measure.wanted import TooLong
from penjing.probe import apart, machine
from penjing.progress import Report

COMMAND = (sys.executable, "-m", "penjing.operate.measure.profile.worker")
PATIENCE = 3600.0
"""Seconds after which it is given up: a large model on a small board takes its time."""
SECONDS = 45.0
"""How long to measure, about; each kind of work at least once."""
LEAST_PROMPT, LEAST_OUTPUT = 1, 2


class ProfileFailed(EngineError):
    """Facts: `model`, `detail`."""

    template = "{model} could not be profiled: {detail}"
    hint = "See whether it answers at all: penjing chat MODEL"
    code = "profile_failed"


class NotProfilable(InputError):
    """Facts: `model`, `detail`."""

    template = "{model} has nothing that can be profiled: {detail}"
    hint = "What can be profiled is a model of this machine that generates text."
    code = "not_profilable"


def profile(
    path: Path,
    name: str,
    options: EngineOptions,
    *,
    prompt: int = 512,
    output: int = 64,
    seconds: float = SECONDS,
    report: Report | None = None,
) -> Profile:
    """Where the time goes in the GGUF at `path`: a prompt of so many tokens, then an answer of so many. `report` hears
    how far it is; an exception it raises, or Ctrl-C, ends everything. Raises what `prepare` raises, TooLong,
    NotProfilable, ProfileFailed."""
    import msgspec

    prompt, output = max(prompt, LEAST_PROMPT), max(output, LEAST_OUTPUT)
    settings = prepare(path, name, options).settings
    if settings.embeddings:
        raise NotProfilable(model=name, detail="it turns texts into vectors")
    if prompt + output > settings.context:
        raise TooLong(name=name, prompt=prompt, output=output, context=settings.context)
    wanted = json.dumps({"prompt": prompt, "output": output, "seconds": seconds}).encode()
    facts: dict[str, Any] = apart.run(
        COMMAND,
        given=settings.encode() + wanted + b"\n",
        patience=PATIENCE,
        report=report or (lambda progress: None),
        failed=lambda detail: ProfileFailed(model=name, detail=detail),
    )
    facts |= {"model": name, "context": prompt, "threads": settings.threads, "library": library_version()}
    facts |= {"processor": machine.read(gpus=False).cpu}
    facts |= {"when": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    return msgspec.convert(facts, Profile)
