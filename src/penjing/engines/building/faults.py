"""What can go wrong while a library is made.

    MachineError
    ├── CompilerMissing       there is no C++ compiler
    ├── ToolsFailed           cmake and ninja could not be had
    ├── SourceMissing         the source could not be fetched
    │   └── SourceAltered     it is not the one that was published
    ├── BuildFailed           cmake or the compiler said no
    └── Disagrees             what was compiled computes something else

Does not know: where it is noticed.
"""

from __future__ import annotations

import sys

from penjing.errors import MachineError

INSTALL = "xcode-select --install" if sys.platform == "darwin" else "sudo apt-get install g++"


class CompilerMissing(MachineError):
    """Facts: `install` (the command that brings one)."""

    template = "There is no C++ compiler on this machine, which llama.cpp is to be compiled with."
    hint = "{install}, then again: penjing engine build. Without, the prebuilt library goes on serving."
    code = "compiler_missing"


class ToolsFailed(MachineError):
    """Facts: `detail`."""

    template = "cmake and ninja could not be installed beside penjing: {detail}"
    hint = "Is the package index reachable? Those of the system will do: sudo apt-get install cmake ninja-build"
    code = "tools_failed"


class SourceMissing(MachineError):
    """Facts: `name`, `detail`."""

    template = "The source of {name} could not be fetched: {detail}"
    hint = "Fetch it on another machine (pip download --no-deps --no-binary :all: {name}), then: --source FILE"
    code = "source_missing"


class SourceAltered(SourceMissing):
    """Facts: `name`, `path`, `found`, `wanted` (SHA-256)."""

    template = "{path} is not the source of {name} as it was published: SHA-256 {found}, not {wanted}."
    hint = "Remove it and fetch it again."
    code = "source_altered"


class BuildFailed(MachineError):
    """Facts: `detail` (the compiler's first complaint), `log`."""

    template = "llama.cpp could not be compiled here: {detail}"
    hint = "Everything it said is in {log}. The prebuilt library goes on serving."
    code = "build_failed"


class Disagrees(MachineError):
    """Facts: `name`, `model`, `detail`."""

    template = "The library {name} was compiled, but answers otherwise than the prebuilt one with {model}: {detail}"
    hint = "It is not offered. Try without what is beside the processor: penjing engine build --only-cpu"
    code = "library_disagrees"
