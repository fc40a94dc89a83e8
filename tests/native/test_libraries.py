from pathlib import Path

import pytest

from penjing.native import libraries
from penjing.native.libraries import FILE, About, LibraryForeign, NoSuchLibrary
from penjing.native.processor import identity


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    return tmp_path


def made(name: str, processor: str = "", built: str = "2026-01-01T00:00:00+00:00") -> None:
    """A library that is kept; what is in it does not matter here."""
    place = libraries.folder() / name
    place.mkdir(parents=True)
    (place / FILE).write_bytes(b"not looked at")
    libraries.write(place, About("source 1", "revision", processor or identity(), "a processor", built=built))


def test_the_wheel_s_is_in_use_at_first() -> None:
    assert libraries.in_use().name == libraries.PREBUILT
    assert libraries.natives() == ()
    assert not libraries.prebuilt().native


def test_the_newest_of_this_processor_is_used() -> None:
    made("native-old")
    made("native-new", built="2026-02-01T00:00:00+00:00")
    made("native-foreign", "another", built="2026-03-01T00:00:00+00:00")
    assert libraries.use(libraries.NATIVE).name == "native-new"
    assert libraries.in_use().version == "source 1 native-new"
    assert libraries.use(libraries.PREBUILT) == libraries.in_use() == libraries.prebuilt()


def test_one_of_another_processor_is_refused() -> None:
    made("native-foreign", "another")
    with pytest.raises(LibraryForeign, match="another processor"):
        libraries.use("native-foreign")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    made("native-one")
    with pytest.raises(NoSuchLibrary) as refused:
        libraries.find("nativ")
    assert "prebuilt, native-one" in refused.value.advice("en")


def test_one_that_is_gone_or_damaged_is_not_used() -> None:
    made("native-one")
    libraries.use("native-one")
    (libraries.folder() / "native-one" / libraries.ABOUT).write_text("{", encoding="utf-8")
    assert libraries.in_use().name == libraries.PREBUILT
    assert libraries.natives() == ()


def test_what_was_chosen_is_kept_for_each_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    made("native-one")
    libraries.use("native-one")
    monkeypatch.setattr(libraries, "identity", lambda: "another")
    assert libraries.in_use().name == libraries.PREBUILT
