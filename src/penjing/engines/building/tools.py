"""What compiles: the system's C++ compiler, cmake and ninja; the latter from the package index, in an environment of
their own, where the system has none.

Does not know: what is compiled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from penjing.engines.building.faults import INSTALL, CompilerMissing, ToolsFailed
from penjing.files import home

COMPILERS = ("c++", "g++", "clang++")
CUDA = Path("/usr/local/cuda/bin/nvcc")
LEAST = (3, 18)
"""The oldest cmake that will do."""


@dataclass(frozen=True)
class Tools:
    """Paths of programs; `compiler` in its own words (`g++ 12.2.0`); `backends` that can be compiled here."""

    cmake: Path
    ninja: Path
    compiler: str
    backends: tuple[str, ...] = ()


def environment() -> Path:
    """The private environment."""
    return home() / "native" / "tools"


def compiler() -> Path:
    """The C++ compiler: CXX, else the system's. Raises CompilerMissing."""
    wanted = os.environ.get("CXX", "").split()
    found = next((path for name in (*wanted[:1], *COMPILERS) if (path := shutil.which(name))), None)
    if found is None:
        raise CompilerMissing(install=INSTALL)
    return Path(found)


def backends() -> tuple[str, ...]:
    """What else than the processor can be compiled for here, by the tools that are installed and the GPUs there are."""
    found = []
    if (shutil.which("nvcc") or CUDA.exists()) and "GPU" in printed(Path("nvidia-smi"), "-L"):
        found.append("cuda")
    if sys.platform == "darwin":
        found.append("metal")
    elif shutil.which("glslc") and any(Path(base).exists() for base in _vulkan_headers()):
        found.append("vulkan")
    return tuple(found)


def _vulkan_headers() -> tuple[str, ...]:
    kit = os.environ.get("VULKAN_SDK", "")
    return ("/usr/include/vulkan/vulkan.h", *((f"{kit}/include/vulkan/vulkan.h",) if kit else ()))


def ready() -> Tools:
    """The tools, installed where they were not. Raises CompilerMissing, ToolsFailed."""
    named = printed(compiler(), "--version").splitlines()[:1]
    cmake, ninja = shutil.which("cmake"), shutil.which("ninja")
    if not (cmake and ninja and _new_enough(Path(cmake))):
        python()
        _installed("cmake", "ninja")
        cmake, ninja = str(_program("cmake")), str(_program("ninja"))
    return Tools(Path(cmake), Path(ninja), named[0] if named else "", backends())


def python() -> Path:
    """The interpreter of the private environment, which has pip. Raises ToolsFailed."""
    place = _program("python")
    if not place.exists():
        try:
            venv.create(environment(), with_pip=True, clear=True, symlinks=os.name != "nt")
        except (OSError, subprocess.CalledProcessError) as error:  # Debian's Python may lack ensurepip
            shutil.rmtree(environment(), ignore_errors=True)
            raise ToolsFailed(detail=f"{error}; on Debian: sudo apt-get install python3-venv") from error
    return place


def _program(name: str) -> Path:
    return environment() / ("Scripts" if os.name == "nt" else "bin") / name


def _installed(*names: str) -> None:
    if all(_program(name).exists() for name in names):
        return
    command = (str(python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *names)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolsFailed(detail=(done.stderr.strip().splitlines() or ["pip failed"])[-1])


def _new_enough(cmake: Path) -> bool:
    words = printed(cmake, "--version").split()
    numbers = words[2].split(".")[:2] if len(words) > 2 else []
    return len(numbers) == 2 and all(part.isdigit() for part in numbers) and tuple(map(int, numbers)) >= LEAST


def printed(program: Path, *words: str) -> str:
    """What a program prints; empty where it cannot be run."""
    try:
        return subprocess.run((program, *words), capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
