"""Presets as data."""

from __future__ import annotations

import pytest

from penjing.gateway.conversation.presets import NoSuchPreset, Preset, built_in, preset


def test_ours_can_be_read() -> None:
    assert {"assistant", "assistant-zh", "plain"} <= set(built_in())
    for each in built_in().values():
        assert each.system


def test_a_clients_own_system_message_stays_and_wishes_are_added() -> None:
    chosen = Preset("Be kind.", "zh", markdown=True)
    assert chosen.text(own=False).startswith("Be kind.\n\n请用简体中文回答。")
    assert "Be kind" not in chosen.text(own=True)
    assert "Markdown" in chosen.text(own=True)
    assert Preset("Be kind.").text(own=True) == ""


def test_an_operators_own_come_first() -> None:
    assert preset("plain", {"plain": Preset("mine")}).system == "mine"
    with pytest.raises(NoSuchPreset, match="nobody"):
        preset("nobody", {})
