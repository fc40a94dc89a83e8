"""The worker as a process: what ends it, what it leaves behind. Parents are real processes that are really killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from penjing.engines.llamacpp.settings import Settings

WORKER = (sys.executable, "-m", "penjing.engines.llamacpp.worker")
PARENT = """
import asyncio, sys
from pathlib import Path
from penjing.engines.llamacpp import EngineOptions, LlamaCpp

async def main():
    engine = LlamaCpp(Path(sys.argv[1]), "tiny", EngineOptions())
    await engine.start()
    print(engine.pid, engine.address.socket, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def settings(model: Path, folder: Path) -> Settings:
    socket = str(folder / "w.sock")
    return Settings(str(model), "tiny", 512, 512, slots=1, threads=1, batch=512, ubatch=512, socket=socket)


def launch(given: bytes, log: Path, command: tuple[str, ...] = WORKER) -> "subprocess.Popen[bytes]":
    with log.open("wb") as stream:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream)
    assert child.stdin is not None
    child.stdin.write(given)
    child.stdin.flush()
    return child


def reports(child: "subprocess.Popen[bytes]") -> list[dict[str, object]]:
    """What it says up to `ready` or `failed`."""
    assert child.stdout is not None
    heard: list[dict[str, object]] = []
    for line in child.stdout:
        heard.append(json.loads(line))
        if heard[-1]["event"] in ("ready", "failed"):
            break
    return heard


def events(child: "subprocess.Popen[bytes]") -> list[object]:
    return [report["event"] for report in reports(child)]


def close(child: "subprocess.Popen[bytes]", *, hang_up: bool = False) -> int:
    """Wait for its end, by itself or because its input ends."""
    if not hang_up:
        child.wait()
    child.communicate()
    return child.returncode


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("w")


def test_it_reports_loads_and_ends_on_sigterm(tiny: Path, folder: Path) -> None:
    child = launch(settings(tiny, folder).encode(), folder / "log")
    assert events(child) == ["loading", "ready"]
    child.send_signal(signal.SIGINT)  # Ctrl-C is for the parent
    child.send_signal(signal.SIGTERM)
    assert close(child) == 0
    assert "loading model" in (folder / "log").read_text()  # the library writes later than it says, and may be ended


def test_a_load_that_fails_is_reported(folder: Path) -> None:
    child = launch(settings(folder / "absent.gguf", folder).encode(), folder / "log")
    assert events(child) == ["loading", "failed"]
    assert close(child) == 1


def test_it_ends_when_its_input_does(tiny: Path, folder: Path) -> None:
    child = launch(settings(tiny, folder).encode(), folder / "log")
    assert events(child)[-1] == "ready"
    assert close(child, hang_up=True) == 1


def test_it_ends_when_its_parent_is_killed(tiny: Path) -> None:
    parent = subprocess.Popen((sys.executable, "-c", PARENT, str(tiny)), stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, socket = parent.stdout.readline().split()
    worker = psutil.Process(int(pid))
    assert worker.is_running()
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    worker.wait(timeout=60)
    assert not psutil.pid_exists(int(pid))
    leave_no_socket(Path(socket))


def leave_no_socket(socket: Path) -> None:
    """A killed parent cannot tidy up; the next start does."""
    from penjing.engines.llamacpp.process import run_folder

    run_folder().rmdir()
    assert not socket.parent.exists()


def test_the_spin_count_is_set_before_the_library_loads(tiny: Path, folder: Path) -> None:
    code = (
        "import os, sys\n"
        "from penjing.engines.llamacpp import worker\n"
        "assert 'xllamacpp' not in sys.modules\n"
        "worker.load = lambda settings: (_ for _ in ()).throw(RuntimeError(os.environ['GOMP_SPINCOUNT']))\n"
        "sys.argv = ['worker']\n"
        "worker.main()\n"
    )
    child = launch(settings(tiny, folder).encode(), folder / "log", (sys.executable, "-c", code))
    assert reports(child)[-1] == {"event": "failed", "detail": "1000"}
    close(child)


def test_only_what_is_needed_is_imported() -> None:
    code = "import sys\nimport penjing.engines.llamacpp.worker\nprint(*sys.modules)"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60)
    assert not {"numpy", "aiohttp", "psutil", "msgspec", "gguf"} & set(done.stdout.split())
