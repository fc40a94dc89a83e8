from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory

from penjing.cli.chat import prompt

SLASH = prompt.Slash({"stats": "Forget the conversation.", "save": "Leave (Ctrl-D)."}, {"stats": lambda: ["on", "off"]})


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/", ["stats", "save"]),
        ("/st", ["stats"]),
        ("/x", []),
        ("/stats ", ["on", "off"]),
        ("/stats of", ["off"]),
        ("/save ", []),
        ("hello /s", []),
        ("/s\n/s", []),
    ],
)
def test_completions(typed: str, offered: list[str]) -> None:
    found = list(SLASH.get_completions(Document(typed), CompleteEvent()))
    assert [each.text for each in found] == offered


def test_what_a_command_does_is_said_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_LANGUAGE", "zh")
    (found,) = SLASH.get_completions(Document("/save"), CompleteEvent())
    assert "离开" in found.display_meta_text


def test_the_history_is_private_and_lasts(clean: Path) -> None:
    first = prompt.history()
    first.store_string("a question")
    assert (clean / "chat_history").stat().st_mode & 0o777 == 0o600
    assert list(prompt.history().load_history_strings()) == ["a question"]


def test_without_a_place_the_history_is_kept_in_memory(
    clean: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    monkeypatch.setenv("PENJING_HOME", "file")
    assert isinstance(prompt.history(), InMemoryHistory)
    assert "will not be remembered" in capsys.readouterr().err
