"""What breaks, seen at the command line: a sentence and a next step in both languages, an exit status, nothing left."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shells import Shell

Spoil = Callable[[bytes], bytes]
SPOILED: dict[str, Spoil] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "cut in the header": lambda content: content[:40],
    "wrong magic": lambda content: b"GGML" + content[4:],
    "wrong endian": lambda content: content[:4] + struct.pack(">I", 3) + content[8:],
    "noise": lambda content: content[:8] + b"\xff" * 200 + content[208:],
}
ASK = ("chat", "-p", "hi", "--max-tokens", "2")


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def no_orphans(clean: Path) -> Iterator[None]:
    """No process of ours, known by its PENJING_HOME, outlives the command that started it."""
    yield
    processes = psutil.process_iter(["environ", "pid"])
    homes = {process.pid: (process.info["environ"] or {}).get("PENJING_HOME") for process in processes}
    assert [pid for pid, home in homes.items() if home == str(clean) and pid != os.getpid()] == []


def told(done: object, language: str, status: int) -> str:
    """The complaint, after checking its form; where loading takes long a line about it stands before."""
    err = re.sub(r"\A((Loading|加载|Reading|读取) \S+\n)*", "", str(getattr(done, "err", "")))
    assert getattr(done, "status", None) == status, err
    assert getattr(done, "out", None) == ""
    assert err.startswith("error: " if language == "en" else "错误：")
    assert len(err.splitlines()) <= 3
    if language == "zh":
        assert any("\u4e00" <= letter <= "\u9fff" for letter in err.partition("：")[2])
    return err


@pytest.mark.parametrize("verb", [ASK, ("serve", "--port", "0"), ("explain",), ("probe",)], ids=lambda verb: verb[0])
@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_model_file(shell: Shell, tiny: Path, how: str, verb: tuple[str, ...]) -> None:
    path = Path("spoiled.gguf")
    path.write_bytes(SPOILED[how](tiny.read_bytes()))
    for language in ("en", "zh"):
        assert "spoiled.gguf" in told(shell(*verb, str(path), PENJING_LANGUAGE=language), language, 3)


def test_a_model_that_is_not_there(shell: Shell, language: str) -> None:
    assert "none.gguf" in told(shell(*ASK, "none.gguf", PENJING_LANGUAGE=language), language, 3)


def test_a_folder_without_config(shell: Shell, language: str) -> None:
    Path("empty").mkdir()
    assert "empty" in told(shell(*ASK, "empty", PENJING_LANGUAGE=language), language, 3)


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 8, struct.pack("<Q", 1 << 40) + b"{}"])
def test_a_spoiled_checkpoint(shell: Shell, language: str, content: bytes) -> None:
    folder = Path("checkpoint")
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (folder / "model.safetensors").write_bytes(content)
    assert "checkpoint" in told(shell(*ASK, "checkpoint", PENJING_LANGUAGE=language), language, 3)
    assert list((Path("home") / "cache").rglob("*.gguf")) == []


def test_a_model_too_big_is_told_before_it_is_loaded(shell: Shell, tiny: Path, language: str) -> None:
    err = told(shell(*ASK, str(tiny), "--parallel", "2000000000", PENJING_LANGUAGE=language), language, 3)
    assert "GB" in err or "TB" in err


def test_a_port_in_use(shell: Shell, tiny: Path, language: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        err = told(shell("serve", str(tiny), "--port", port, PENJING_LANGUAGE=language), language, 4)
    assert port in err
    assert "--port " in err


def test_a_port_in_use_is_told_before_a_conversion(shell: Shell, clean: Path, checkpoint: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told(shell("serve", str(checkpoint), "--port", str(taken.getsockname()[1])), "en", 4)
    assert list(clean.rglob("*.gguf")) == []


def test_an_address_of_another_machine(shell: Shell, tiny: Path, language: str) -> None:
    told(shell("serve", str(tiny), "--host", "192.0.2.1", "--port", "0", PENJING_LANGUAGE=language), language, 4)


def test_a_device_that_is_not_there(shell: Shell, tiny: Path, language: str) -> None:
    assert "cuda" in told(shell(*ASK, str(tiny), "--device", "cuda", PENJING_LANGUAGE=language), language, 4)


def test_a_prompt_over_the_context(shell: Shell, tiny: Path, language: str) -> None:
    done = shell("chat", str(tiny), "--max-context", "256", given="word " * 2000, PENJING_LANGUAGE=language)
    assert "256" in told(done, language, 2)


def test_nothing_asked(shell: Shell, tiny: Path, language: str) -> None:
    told(shell("chat", str(tiny), given=" \n", PENJING_LANGUAGE=language), language, 2)


@pytest.mark.parametrize("locale", ["C.UTF-8", "POSIX"])
def test_a_question_that_is_no_text(clean: Path, locale: str) -> None:
    command = [sys.executable, "-m", "penjing", "chat"]
    given = "什么是量化？".encode("gb18030")
    done = subprocess.run(command, input=given, capture_output=True, env={**os.environ, "LC_ALL": locale})
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[0] == "error: The question is not UTF-8 text."


def test_an_output_on_a_full_disk(clean: Path) -> None:
    """/dev/full answers every write as a full disk does."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "penjing", "probe"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "error: The output cannot be written: the disk it goes to is full."


def test_an_output_that_lacks_chinese(shell: Shell) -> None:
    done = shell("probe", PENJING_LANGUAGE="zh", PYTHONIOENCODING="ascii")
    assert done.status == 4
    assert "PYTHONUTF8=1" in done.err


def test_a_server_that_is_not_there(shell: Shell, language: str) -> None:
    assert "127.0.0.1:9" in told(shell(*ASK, "http://127.0.0.1:9", PENJING_LANGUAGE=language), language, 5)


def test_a_conversation_that_is_none(shell: Shell, tiny: Path, language: str) -> None:
    Path("a.json").write_text("{}")
    assert "a.json" in told(shell(*ASK, str(tiny), "--load", "a.json", PENJING_LANGUAGE=language), language, 2)


def test_a_home_that_cannot_be_written(shell: Shell, tiny: Path, checkpoint: Path, language: str) -> None:
    """Where nothing must be kept it does without; where something must be, it says so."""
    Path("file").write_text("")
    home = str(Path("file/home").absolute())
    assert shell(*ASK, str(tiny), PENJING_HOME=home).status == 0
    assert home in told(shell(*ASK, str(checkpoint), PENJING_HOME=home, PENJING_LANGUAGE=language), language, 4)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs a small file system of its own")
def test_a_full_disk_in_the_cache(clean: Path, checkpoint: Path, language: str) -> None:
    """The cache lies on a disk of 64 KB, in a mount namespace of the command's own."""
    clean.mkdir()
    line = f"mount -t tmpfs -o size=64k none {clean} && exec {sys.executable} -m penjing chat -p hi {checkpoint}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", line],
        capture_output=True,
        text=True,
        env={**os.environ, "PENJING_LANGUAGE": language},
        timeout=120,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert "Traceback" not in done.stderr
    assert str(clean) in done.stderr
    assert done.returncode == 4


def test_json_output_stays_json_when_nothing_breaks(shell: Shell, tiny: Path) -> None:
    done = shell(*ASK, str(tiny), "--json", "--seed", "1")
    answer = json.loads(done.out)
    assert done.status == 0
    assert answer["usage"]["completion_tokens"] == 2
    assert answer["finish_reason"] == "length"


def test_a_context_that_is_capped_is_told(shell: Shell) -> None:
    done = shell("chat", "--max-context", "100000", "-p", "What is GGUF?")
    assert done.status == 0
    assert "100000 was asked for" in done.err
    assert "--rope-scale" in done.err
