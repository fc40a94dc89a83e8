"""cmake and ninja: from a folder of source to a shared object, with progress, and ended cleanly when nobody wants it.

Does not know: where the source comes from, what is done with the object.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import psutil

from penjing.engines.building.faults import BuildFailed
from penjing.engines.building.tools import CUDA, Tools
from penjing.native.libraries import FILE
from penjing.progress import Progress, Report

STEP = re.compile(r"^\[(\d+)/(\d+)\]")
FAULT = re.compile(r"\b(?:fatal )?error\b.*|CMake Error.*|undefined reference.*|Killed.*", re.IGNORECASE)
TARGET = "penjing_llama"
EACH = 1 << 30
"""Bytes of memory that one compiler may want."""
NICE = 10
FLAGS = {"cuda": "GGML_CUDA", "metal": "GGML_METAL", "vulkan": "GGML_VULKAN"}
NUMBER = 1
"""llama.cpp's own build number, which it would ask git for."""


def compiled(
    source: Path,
    work: Path,
    tools: Tools,
    log: Path,
    report: Report,
    *,
    backends: Sequence[str] = (),
    jobs: int | None = None,
    targets: Sequence[str] = (TARGET,),
) -> Path:
    """The shared object of llama.cpp at `source`, compiled in `work` (what is there already is not compiled again);
    everything said goes to `log`. Raises BuildFailed; what `report` raises ends the compilers."""
    work.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("penjing") / "data" / "native") as ours, log.open("w") as stream:
        for _ in _lines(_configuration(ours, source, work, tools, backends), log, stream.fileno(), report):
            pass
        many = jobs or usual_jobs()
        command = (str(tools.cmake), "--build", str(work), "--parallel", str(many), "--target", *targets)
        for line in _lines(command, log, stream.fileno(), report):
            if step := STEP.match(line):
                report(Progress(int(step[1]) / int(step[2]), "compiling"))
    found = [path for path in work.glob(f"bin/lib{TARGET}.*") if path.suffix in (".so", ".dylib")]
    found += [path for path in work.glob(f"lib{TARGET}.*") if path.suffix in (".so", ".dylib")]
    if not found:
        raise BuildFailed(detail=f"lib{TARGET} ({FILE}) was not made", log=str(log))
    return found[0]


def _configuration(ours: Path, source: Path, work: Path, tools: Tools, backends: Sequence[str]) -> list[str]:
    settings = {
        "LLAMA_SOURCE": source,
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": tools.ninja,
        "GGML_NATIVE": "ON",
        "GGML_CCACHE": "OFF",
        "GGML_METAL": "OFF",
        "GGML_METAL_EMBED_LIBRARY": "ON",
        "LLAMA_BUILD_NUMBER": NUMBER,
        "LLAMA_CURL": "OFF",
        "LLAMA_OPENSSL": "OFF",
        "LLAMA_USE_PREBUILT_UI": "OFF",
        **{FLAGS[each]: "ON" for each in backends},
    }
    if "cuda" in backends:
        settings["CMAKE_CUDA_ARCHITECTURES"] = "native"
        if CUDA.exists():
            settings["CMAKE_CUDA_COMPILER"] = CUDA
    given = (f"-D{name}={value}" for name, value in settings.items())
    return [str(tools.cmake), "-G", "Ninja", "-S", str(ours), "-B", str(work), *given]


def usual_jobs() -> int:
    """One compiler for each core that this process may use, as far as memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().available // EACH))


def _lines(command: Sequence[str], log: Path, descriptor: int, report: Report) -> Iterator[str]:
    """What `command` says, line by line, which goes to the log too. Raises BuildFailed with the first complaint."""
    fault = ""
    with _running(command) as child:
        assert child.stdout is not None
        for line in child.stdout:
            os.write(descriptor, line.encode())
            if not fault and (match := FAULT.search(line)):
                fault = " ".join(match[0].split())[:300]
            yield line
        if child.wait():
            raise BuildFailed(detail=fault or f"exit status {child.returncode}", log=str(log))


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """`command` in a group of its own, of which nothing is left when the block ends."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise BuildFailed(detail=str(error), log="-") from error
    psutil.Process(child.pid).nice(NICE)  # whoever works here comes first
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
