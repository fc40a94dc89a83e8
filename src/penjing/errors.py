"""One error tree: what was wrong, where, and what to type next.

    PenjingError
    ├── InputError            what the caller gave cannot be used (HTTP 400, exit 2)
    │   ├── UnknownOption
    │   ├── InvalidRequest
    │   ├── ContextOverflow
    │   ├── Unsupported
    │   └── SettingError
    ├── ModelError            a model on disk cannot be used (HTTP 400, exit 3)
    │   ├── ModelNotFound     (HTTP 404)
    │   ├── ModelCorrupt
    │   ├── ModelUnsupported
    │   └── ModelTooBig       (HTTP 507)
    ├── MachineError          this machine said no (exit 4)
    │   ├── PortInUse
    │   ├── DiskFull          (HTTP 507)
    │   └── DeviceUnavailable
    ├── EngineError           the engine worker failed (HTTP 502/503, exit 5)
    │   ├── EngineStartFailed
    │   ├── EngineDied
    │   ├── EngineBusy        (HTTP 429)
    │   └── EngineLoading     (HTTP 503)
    └── AccessError           (HTTP 401)

An error is raised with named facts; its `template` and `hint` are filled with them in the reader's language by
`message(language)` and `advice(language)`. A station adds its own kinds by subclassing beside its code, with its
own `template`, `hint` and, where they differ, `status` and `exit_code`. Foreign errors are mapped at the seam.
"""

from __future__ import annotations

from typing import ClassVar

from penjing.language import say


class PenjingError(Exception):
    """The root. `facts` fill `template` (what, where) and `hint` (what to do)."""

    template: ClassVar[str] = "Something went wrong: {detail}"
    hint: ClassVar[str] = ""
    code: ClassVar[str] = "internal_error"
    kind: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.message("en"))

    def message(self, language: str | None = None) -> str:
        """One sentence in `language` (default: the reader's)."""
        return say(self.template, language=language, **self.facts)

    def advice(self, language: str | None = None) -> str:
        """What to type or do next in `language`; empty where there is nothing to add."""
        return say(self.hint, language=language, **self.facts) if self.hint else ""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _rebuild, (type(self), self.facts)


def _rebuild(kind: type[PenjingError], facts: dict[str, object]) -> PenjingError:
    return kind(**facts)


class InputError(PenjingError):
    """What the caller gave cannot be used. Facts: `detail`."""

    template = "{detail}"
    code = "invalid_request"
    kind = "invalid_request_error"
    status = 400
    exit_code = 2


class UnknownOption(InputError):
    """Facts: `name`, `where`, `known` (comma-separated)."""

    template = "Unknown option '{name}' in {where}."
    hint = "Known options: {known}"
    code = "unknown_parameter"


class InvalidRequest(InputError):
    """Facts: `detail`."""

    code = "invalid_value"


class ContextOverflow(InputError):
    """Facts: `tokens`, `context` (both in tokens)."""

    template = "The prompt has {tokens} tokens; this model was started with a context of {context}."
    hint = "Shorten the conversation, or start with a larger --max-context."
    code = "context_length_exceeded"


class Unsupported(InputError):
    """Facts: `feature`, `model`."""

    template = "{model} does not support {feature}."
    hint = "Choose a model that does: penjing serve MODEL --explain shows what a model can do."
    code = "unsupported"


class SettingError(InputError):
    """Facts: `name`, `value`, `wanted`, `source` (the flag, variable or file the value came from)."""

    template = "Setting {name} = {value!r} (from {source}) is not {wanted}."
    code = "invalid_setting"


class ModelError(PenjingError):
    """A model on disk cannot be used. Facts: `path`, `detail`."""

    template = "{path}: {detail}"
    code = "model_error"
    kind = "invalid_request_error"
    status = 400
    exit_code = 3


class ModelNotFound(ModelError):
    """Facts: `model`."""

    template = "There is no model '{model}' here."
    hint = "Give a .gguf file, a checkpoint folder, or 'guide' (built in)."
    code = "model_not_found"
    status = 404


class ModelCorrupt(ModelError):
    """Facts: `path`, `detail`."""

    template = "{path} is damaged: {detail}"
    hint = "Fetch or copy the file again, then compare its size and SHA-256 with the source's."
    code = "model_corrupt"


class ModelUnsupported(ModelError):
    """Facts: `path`, `detail`, `nearest` (what is supported)."""

    template = "{path} cannot be converted: {detail}"
    hint = "Supported here: {nearest}"
    code = "model_unsupported"


class ModelTooBig(ModelError):
    """Told before loading. Facts: `path`, `needed`, `free` (human sizes), `fits` (what would fit)."""

    template = "{path} needs about {needed} of memory, {free} is free."
    hint = "What would fit: {fits}"
    code = "model_too_big"
    status = 507


class MachineError(PenjingError):
    """This machine said no. Facts: `detail`."""

    template = "{detail}"
    code = "machine_error"
    exit_code = 4


class PortInUse(MachineError):
    """Facts: `host`, `port`, `free` (a port that is free now)."""

    template = "Port {port} on {host} is in use by another program."
    hint = "Choose another: --port {free}"
    code = "port_in_use"


class DiskFull(MachineError):
    """Facts: `path`, `needed`, `free` (human sizes)."""

    template = "No room in {path}: {needed} needed, {free} free."
    hint = (
        "Free some space, or move it: what a command writes with --output, penjing's own with PENJING_HOME=DIR, "
        "temporary files with TMPDIR=DIR."
    )
    code = "disk_full"
    status = 507


class DeviceUnavailable(MachineError):
    """Facts: `device`, `detail`."""

    template = "Device '{device}' cannot be used: {detail}"
    hint = "Use --device auto or --device cpu."
    code = "device_unavailable"
    status = 400


class EngineError(PenjingError):
    """The engine failed. Facts: `detail`."""

    template = "The engine failed: {detail}"
    code = "engine_error"
    status = 502
    exit_code = 5


class EngineStartFailed(EngineError):
    """Facts: `model`, `detail` (the last lines of the worker's log)."""

    template = "The engine could not load {model}: {detail}"
    hint = "penjing serve MODEL --explain shows the settings it was given; --log-level debug shows its own words."
    code = "engine_start_failed"
    status = 503


class EngineDied(EngineError):
    """Facts: `model`, `how` (signal or exit status)."""

    template = "The engine of {model} stopped in mid-answer ({how}); it is being restarted."
    hint = "Send the request again."
    code = "engine_died"


class EngineBusy(EngineError):
    """Facts: `model`, `seconds` (until a slot is likely free)."""

    template = "{model} is busy; try again in {seconds} s."
    code = "engine_busy"
    kind = "rate_limit_error"
    status = 429


class EngineLoading(EngineError):
    """Facts: `model`, `percent`."""

    template = "{model} is loading ({percent} %)."
    hint = "Ask /health until it says ready."
    code = "engine_loading"
    status = 503


class AccessError(PenjingError):
    """No key, or one that is not known. Facts: none."""

    template = "This server needs an API key, and the request had none that it knows."
    hint = "Send it as 'Authorization: Bearer KEY'."
    code = "invalid_api_key"
    kind = "authentication_error"
    status = 401
    exit_code = 2
