from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing import settings
from penjing.errors import InputError, SettingError, UnknownOption
from penjing.settings import PartInvalid, SettingsFileInvalid, SetTwice, load


@dataclass(frozen=True)
class Tap:
    """A schema with one field of each kind."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8000
    rate: float | None = None
    open: bool = False
    mode: Literal["auto", "cpu"] = "auto"
    keys: tuple[str, ...] = ()
    folder: Path | None = None
    name: str = ""


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(settings, "SYSTEM", tmp_path / "etc" / "config.toml")
    (tmp_path / "home").mkdir()
    (tmp_path / "etc").mkdir()


def test_defaults() -> None:
    loaded = load(Tap, "tap")
    assert loaded.value == Tap()
    assert set(loaded.sources.values()) == {"default"}


def test_every_source_yields_to_the_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    (tmp_path / "etc/config.toml").write_text("[tap]\nport = 1\n")
    seen.append(load(Tap, "tap"))
    (tmp_path / "home/config.toml").write_text("[tap]\nport = 2\n")
    seen.append(load(Tap, "tap"))
    (tmp_path / "penjing.toml").write_text("[tap]\nport = 3\n")
    seen.append(load(Tap, "tap"))
    monkeypatch.setenv("PENJING_TAP_PORT", "4")
    seen.append(load(Tap, "tap"))
    seen.append(load(Tap, "tap", {"port": 5}))
    assert [loaded.value.port for loaded in seen] == [1, 2, 3, 4, 5]
    assert [loaded.sources["port"] for loaded in seen] == [
        f"{tmp_path}/etc/config.toml:2",
        f"{tmp_path}/home/config.toml:2",
        "penjing.toml:2",
        "PENJING_TAP_PORT",
        "--port",
    ]


def test_fields_come_from_different_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "penjing.toml").write_text('[tap]\nkeys = ["a", "b"]\nfolder = "~/x"\n[other]\nport = 9\n')
    monkeypatch.setenv("PENJING_TAP_OPEN", "true")
    loaded = load(Tap, "tap", {"rate": 0.5, "mode": None, "keys": ()})
    assert loaded.value == Tap(rate=0.5, open=True, keys=("a", "b"), folder=Path.home() / "x")
    assert loaded.sources["mode"] == "default"


def test_environment_gives_lists_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_TAP_KEYS", "a, b")
    monkeypatch.setenv("PENJING_TAP_RATE", "")
    assert load(Tap, "tap").value == Tap(keys=("a", "b"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("port = 'x'", "a whole number from 1 to 65535"),
        ("port = 0", "a whole number from 1 to 65535"),
        ("port = true", "a whole number from 1 to 65535"),
        ("rate = 'fast'", "a number"),
        ("open = 1", "true or false"),
        ("mode = 'gpu'", "one of auto, cpu"),
        ("keys = 'a'", "a list, each text"),
        ("folder = 3", "a path"),
        ("name = 3", "text"),
    ],
)
def test_a_wrong_value_says_where_and_what_is_wanted(tmp_path: Path, text: str, wanted: str) -> None:
    (tmp_path / "penjing.toml").write_text(f"\n[tap]\n{text}\n")
    with pytest.raises(SettingError) as caught:
        load(Tap, "tap")
    assert caught.value.facts["wanted"] == wanted
    assert caught.value.facts["source"] == "penjing.toml:3"
    assert caught.value.facts["name"] == f"tap.{text.split(' ')[0]}"


@pytest.mark.parametrize("variable", ["PENJING_TAP_PROT", "PENJING_TAP_"])
def test_unknown_variables_are_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UnknownOption, match=variable):
        load(Tap, "tap")


def test_unknown_names_are_refused_wherever_they_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownOption, match="--prot"):
        load(Tap, "tap", {"prot": 1})
    (tmp_path / "home/config.toml").write_text("[tap]\nport = 1\nprot = 2\n")
    with pytest.raises(UnknownOption, match=r"config\.toml:3"):
        load(Tap, "tap")


def test_unknown_sections_are_refused(tmp_path: Path) -> None:
    (tmp_path / "penjing.toml").write_text("[tap]\n[pat]\n")
    settings.require_sections(["tap", "pat"])
    with pytest.raises(UnknownOption, match=r"'pat' in penjing\.toml"):
        settings.require_sections(["tap"])


def test_a_section_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "penjing.toml").write_text("tap = 3\n")
    with pytest.raises(SettingError, match="a table"):
        load(Tap, "tap")


@pytest.mark.parametrize("content", [b"[tap", b"\xff\xfe", b"port = \n"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "penjing.toml").write_bytes(content)
    with pytest.raises(SettingsFileInvalid, match=r"penjing\.toml"):
        load(Tap, "tap")


def test_a_dash_is_an_underscore_in_files(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Long:
        max_context: int = 0

    (tmp_path / "penjing.toml").write_text("[engine]\nmax-context = 7\n")
    assert load(Long, "engine").value == Long(7)


def outcome(call: Callable[[], object]) -> object:
    """What a call returns, or the sentence of the error it raises."""
    try:
        return call()
    except InputError as error:
        return error.message("en") + error.message("zh")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_in_a_variable_is_a_number_or_an_error(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_TAP_PORT", text)
        found = outcome(lambda: load(Tap, "tap").value.port)
    assert found in range(1, 65536) or "PENJING_TAP_PORT" in str(found)


@given(st.binary(max_size=200))
def test_any_bytes_in_a_file_are_settings_or_an_error(content: bytes) -> None:
    Path("penjing.toml").write_bytes(b"[tap]\n" + content)
    found = outcome(lambda: load(Tap, "tap"))
    assert isinstance(found, settings.Loaded) or "penjing.toml" in str(found)


@dataclass(frozen=True)
class Checked:
    """A schema with a check of its own."""

    rate: int = 1

    def __post_init__(self) -> None:
        if self.rate % 2 == 0:
            raise SettingError(name="rate", value=self.rate, wanted="odd", source="the dataclass")


def test_the_dataclass_own_check_names_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_TAP_RATE", "4")
    with pytest.raises(SettingError, match=r"tap\.rate = 4 \(from PENJING_TAP_RATE\) is not odd"):
        load(Checked, "tap")


def test_messages_are_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_LANGUAGE", "zh")
    with pytest.raises(SettingError) as caught:
        load(Tap, "tap", {"port": "x"})
    assert "整数" in caught.value.message()


def test_one_name_written_in_two_ways() -> None:
    Path("penjing.toml").write_text("[house]\nmax-load = 1\nmax_load = 2\n")
    with pytest.raises(SetTwice, match=r"penjing.toml says \[house\] max-load and max_load"):
        load(House, "house")


@dataclass(frozen=True)
class Room:
    size: int = 0


@dataclass(frozen=True)
class House:
    max_load: int = 0
    rooms: tuple[Room, ...] = ()


def test_what_is_wrong_inside_a_value_is_told_with_its_place() -> None:
    Path("penjing.toml").write_text('[[house.rooms]]\nsize = 1\n[[house.rooms]]\nsize = "big"\n')
    with pytest.raises(PartInvalid, match=r"house.rooms .*\$\[1\].size"):
        load(House, "house")


def test_tables_in_a_table(tmp_path: Path) -> None:
    Path("penjing.toml").write_text('[taps.left]\nport = 1\n[taps."a.b"]\nport = 2\nother = 3\n')
    (tmp_path / "etc" / "config.toml").write_text('[taps.left]\nport = 9\nname = "x"\n[taps.right]\n')
    assert settings.entries("taps") == ("left", "a.b", "right")
    assert load(Tap, ("taps", "left")).value == Tap(port=1, name="x")
    assert load(Tap, ("taps", "a.b"), beside=("other",)).value == Tap(port=2)
    with pytest.raises(UnknownOption, match="other"):
        load(Tap, ("taps", "a.b"))
    Path("penjing.toml").write_text("[taps]\nport = 1\n")
    with pytest.raises(SettingError, match="a table"):
        settings.entries("taps")


def test_more_sections_are_asked_for_only_where_one_is_not_known() -> None:
    Path("penjing.toml").write_text("[tap]\n")
    settings.require_sections(("tap",), more=lambda: pytest.fail("asked"))
    Path("penjing.toml").write_text("[rules]\n")
    settings.require_sections(("tap",), more=lambda: ("rules",))
    with pytest.raises(UnknownOption, match="rules"):
        settings.require_sections(("tap",))
