"""`penjing chat` on a terminal, with the built-in model and its real engine."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from terminals import Terminal

ASK = "/help for commands"
LONG = "Write everything you know. " * 3
Sit = Callable[..., Terminal]


@pytest.fixture
def sit(clean: Path) -> Iterator[Sit]:
    """Opens terminals and closes them; no engine may be left, no traceback may have been shown."""
    opened: list[Terminal] = []

    def start(*arguments: str, **options: int) -> Terminal:
        terminal = Terminal("chat", *arguments, **options)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        workers = terminal.workers() if terminal.process.poll() is None else []
        terminal.close()
        assert psutil.wait_procs(workers, timeout=30)[1] == []
        assert "Traceback" not in terminal.text


def test_a_conversation(sit: Sit, clean: Path) -> None:
    terminal = sit()
    terminal.expect(ASK)
    terminal.line("What is a KV cache?")
    terminal.expect("cache")
    terminal.expect(ASK)
    terminal.line("/stats")
    terminal.expect("Each answer is followed by its speed.")
    terminal.line("What is quantization?")
    terminal.expect("tokens/s")
    terminal.line("/save talk")
    terminal.expect("Saved:")  # the path may be broken where the line ends
    terminal.type("\x04")
    assert terminal.wait() == 0
    saved = json.loads((clean / "chats" / "talk.json").read_text())
    assert [turn["role"] for turn in saved["messages"]] == ["user", "assistant"] * 2
    assert all(turn["content"] for turn in saved["messages"])
    assert (clean / "chat_history").stat().st_mode & 0o077 == 0


def test_in_chinese_and_narrow(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_LANGUAGE", "zh")
    terminal = sit(columns=40, rows=12)
    terminal.expect("查看命令")
    terminal.line("什么是量化？")
    terminal.expect("量化")
    terminal.expect("查看命令")
    terminal.line("/regenerat")
    terminal.expect("没有命令 /regenerat")
    terminal.line("/exit")
    assert terminal.wait() == 0


def test_a_loaded_conversation_goes_on(sit: Sit) -> None:
    turns = [{"role": "system", "content": "be short"}, {"role": "user", "content": "What is a KV cache?"}]
    Path("old.json").write_text(json.dumps({"messages": turns}))
    terminal = sit("--load", "old.json")
    terminal.expect(ASK)
    terminal.line("/system")
    terminal.expect("System message: be short")
    terminal.line("/regenerate")
    terminal.expect("cache")
    terminal.expect(ASK)
    terminal.line("/edit")
    terminal.expect("What is a KV cache?")
    terminal.line(" Really?")
    terminal.expect(ASK)
    terminal.line("/save new.json")
    terminal.expect("Saved")
    assert json.loads(Path("new.json").read_text())["messages"][1]["content"] == "What is a KV cache? Really?"


def test_a_paste_of_many_lines_is_one_question(sit: Sit) -> None:
    terminal = sit()
    terminal.expect(ASK)
    terminal.type("\x1b[200~What is\na KV cache?\x1b[201~")
    terminal.line("")
    terminal.expect(ASK)
    terminal.line("/save paste.json")
    terminal.expect("Saved")
    assert json.loads(Path("paste.json").read_text())["messages"][0]["content"] == "What is\na KV cache?"


def test_slash_commands_are_offered(sit: Sit) -> None:
    terminal = sit()
    terminal.expect(ASK)
    terminal.type("/rege")
    terminal.expect("Answer the last question again.")


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes its time: wide enough that an answer of a thousand tokens can be interrupted."""
    from tiny_model import Shape, write_tiny_gguf

    shape = Shape(layers=8, width=1024, heads=8, kv_heads=8, feed_forward=4096, context=8192)
    return write_tiny_gguf(tmp_path_factory.mktemp("slow") / "slow.gguf", shape)


def test_ctrl_c_stops_an_answer_without_leaving(sit: Sit, slow: Path) -> None:
    terminal = sit(str(slow), "--no-markdown", "--stats", "--temperature", "0")
    terminal.expect(ASK)
    terminal.ask("go on for long")
    terminal.type("\x03")
    terminal.expect("stopped")
    terminal.expect(ASK)
    terminal.type("\x03")
    terminal.expect("Ctrl-D leaves.")
    terminal.line("/exit")
    assert terminal.wait() == 0
    assert len(json.loads(Path("home/chats/last.json").read_text())["messages"]) == 2


def test_an_engine_killed_in_mid_answer_comes_back(sit: Sit, slow: Path) -> None:
    terminal = sit(str(slow), "--no-markdown", "--temperature", "0")
    terminal.expect(ASK)
    terminal.ask("go on for long")
    (worker,) = terminal.workers()
    worker.kill()
    terminal.expect("stopped in mid-answer (killed by SIGKILL)")
    terminal.expect("the conversation is kept")
    terminal.expect(ASK)
    terminal.ask("/regenerate")
    terminal.type("\x03")
    terminal.expect("stopped")
    assert [again.pid for again in terminal.workers()] != [worker.pid]
    terminal.line("/exit")
    assert terminal.wait() == 0


def test_a_terminal_that_is_closed_leaves_no_engine(sit: Sit) -> None:
    terminal = sit()
    terminal.expect(ASK)
    workers = terminal.workers()
    assert len(workers) == 1
    os.kill(terminal.process.pid, signal.SIGHUP)
    assert terminal.wait() == 143
    assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_being_told_to_end_in_mid_answer_is_not_taken_for_ctrl_c(sit: Sit, slow: Path) -> None:
    terminal = sit(str(slow), "--no-markdown", "--temperature", "0")
    terminal.expect(ASK)
    terminal.ask("go on for long")
    workers = terminal.workers()
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.wait() == 143
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert len(json.loads(Path("home/chats/last.json").read_text())["messages"]) == 2


def test_ctrl_c_gives_up_another_model_that_does_not_come(sit: Sit) -> None:
    terminal = sit()
    terminal.expect(ASK)
    with socket.socket() as silent:  # accepts and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        terminal.line(f"/model http://127.0.0.1:{silent.getsockname()[1]}")
        with silent.accept()[0]:
            terminal.type("\x03")
            terminal.expect("stopped")
    terminal.line("/model")
    terminal.expect("Model: guide; context 1024 tokens.")


def test_an_interrupt_while_connecting_leaves(sit: Sit) -> None:
    with socket.socket() as silent:  # accepts and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        terminal = sit(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with silent.accept()[0]:
            terminal.type("\x03")
            assert terminal.wait() == 130


def test_another_model_takes_over(sit: Sit, tiny: Path) -> None:
    terminal = sit()
    terminal.expect(ASK)
    terminal.line("/model none.gguf")
    terminal.expect("There is no model 'none.gguf' here.")
    terminal.line("/model")
    terminal.expect("Model: guide; context 1024 tokens.")
    terminal.line(f"/model {tiny}")
    terminal.expect("Model: tiny; context 512 tokens.")
    assert len(terminal.workers()) == 1


def test_the_options_at_hand_hold_for_another_model(sit: Sit, tiny: Path) -> None:
    terminal = sit("--max-context", "256")
    terminal.expect("Model: guide; context 256 tokens.")
    terminal.line(f"/model {tiny}")
    terminal.expect("Model: tiny; context 256 tokens.")


def test_a_system_message_that_is_typed_counts_instead_of_a_kept_one(sit: Sit) -> None:
    Path("a.json").write_text('{"messages": [{"role": "system", "content": "OLD"}]}')
    terminal = sit("--load", "a.json", "--system", "NEW")
    terminal.expect(ASK)
    terminal.line("/system")
    terminal.expect("System message: NEW")


def test_a_conversation_that_cannot_be_kept_goes_on(sit: Sit, clean: Path) -> None:
    clean.mkdir()
    (clean / "chats").write_text("a file where the folder should be")
    terminal = sit()
    terminal.expect(ASK)
    terminal.line("Hello")
    terminal.expect("warning: The conversation is not kept")


def test_a_conversation_that_grew_too_long_can_go_on(sit: Sit, tiny: Path) -> None:
    terminal = sit(str(tiny), "--max-context", "256", "--max-tokens", "4")
    terminal.expect(ASK)
    terminal.line("word " * 200)
    terminal.expect("a context of 256")
    terminal.expect("/clear begins anew")
    terminal.line("/clear")
    terminal.expect("begins anew")
    terminal.line("word")
    terminal.expect("The answer was cut short")
