"""The way from nothing to a library, with compilers that are scripts: what goes wrong, and what is left behind."""

import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from penjing.engines.building import build, compiling, source, tools
from penjing.engines.building.faults import BuildFailed, CompilerMissing, SourceAltered, SourceMissing
from penjing.engines.building.tools import Tools
from penjing.native import libraries
from penjing.progress import Progress


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\nimport sys, time, os, pathlib\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


MAKES = """
if "--build" in sys.argv:
    folder = pathlib.Path(sys.argv[sys.argv.index("--build") + 1])
    for step in range(1, 4):
        print(f"[{step}/3] Building", flush=True)
    (folder / "libpenjing_llama.so").write_bytes(b"made")
else:
    print("-- llama.cpp version: 1.2.3")
"""


def compiled(folder: Path, body: str, said: list[Progress]) -> Path:
    cmake = script(folder / "cmake", body)
    kit = Tools(cmake, Path("ninja"), "a compiler")
    return compiling.compiled(folder / "source", folder / "work", kit, folder / "log", said.append, jobs=1)


def test_it_tells_how_far_it_is(tmp_path: Path) -> None:
    said: list[Progress] = []
    assert compiled(tmp_path, MAKES, said).read_bytes() == b"made"
    assert [round(each.fraction, 2) for each in said] == [0.33, 0.67, 1.0]
    assert "llama.cpp version: 1.2.3" in (tmp_path / "log").read_text(encoding="utf-8")


def test_the_first_complaint_is_the_error(tmp_path: Path) -> None:
    body = 'print("x.cpp:1: fatal error: no such header\\nerror: the rest")\nsys.exit(1)'
    with pytest.raises(BuildFailed, match="fatal error: no such header") as failed:
        compiled(tmp_path, body, [])
    assert str(tmp_path / "log") in failed.value.advice("en")


def test_whoever_stops_it_ends_the_compilers(tmp_path: Path) -> None:
    body = MAKES.replace("print(f", "(pathlib.Path(sys.argv[0]).parent / 'pid').write_text(str(os.getpid()));print(f")
    body = body.replace('"[{step}/3] Building", flush=True)', '"[{step}/3] Building", flush=True); time.sleep(60)')

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    kit = Tools(script(tmp_path / "cmake", body), Path("ninja"), "a compiler")
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        compiling.compiled(tmp_path / "source", tmp_path / "work", kit, tmp_path / "log", stop, jobs=1)
    assert time.monotonic() - begun < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="ascii")), signal.SIGKILL)


def test_without_a_compiler_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(CompilerMissing) as missing:
        build.build(build.Wanted(), lambda progress: None)
    assert "g++" in missing.value.advice("en") or "xcode-select" in missing.value.advice("en")
    assert libraries.natives() == ()


def test_the_source_is_the_published_one(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="gone"):
        source.fetched(tmp_path / "gone.tar.gz")
    other = tmp_path / "other.tar.gz"
    other.write_bytes(b"something else")
    with pytest.raises(SourceAltered):
        source.fetched(other)


def test_an_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ROOM", 1)
    inner = tmp_path / source.EDITION.file.removesuffix(".tar.gz") / "vendor" / "llama.cpp"
    inner.mkdir(parents=True)
    (inner / "LICENSE").write_text("MIT", encoding="ascii")
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / source.EDITION.file.removesuffix(".tar.gz"), source.EDITION.file.removesuffix(".tar.gz"))
    place = source.unpacked(archive, tmp_path / "work")
    assert (place / "LICENSE").read_text(encoding="ascii") == "MIT"
    archive.unlink()
    assert source.unpacked(archive, tmp_path / "work") == place


def test_a_library_is_put_there_whole(tmp_path: Path) -> None:
    made = tmp_path / "made.so"
    about = libraries.About("source 1", "revision", "processor", "cpu")
    for content in (b"one", b"two"):
        made.write_bytes(content)
        build._put(made, libraries.folder() / "native-1", about)
    assert [each.path.read_bytes() for each in libraries.natives()] == [b"two"]
    assert [path.name for path in libraries.folder().iterdir()] == ["native-1"]


def test_tools_of_the_system_are_taken_where_they_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, says in (("cmake", "cmake version 3.30.1"), ("ninja", "1.12"), ("g++", "g++ 14")):
        script(tmp_path / name, f"print({says!r})")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    found = tools.ready()
    assert (found.cmake, found.compiler) == (tmp_path / "cmake", "g++ 14")
    assert subprocess.run([found.cmake], capture_output=True, check=True).stdout
