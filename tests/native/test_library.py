import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from penjing.native import libraries
from penjing.native import library as native


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library is found and loaded once a process; these tests look again."""
    monkeypatch.setattr(native, "_told", None)
    for found in (native.library, libraries._in_wheel):
        found.cache_clear()
    yield
    for found in (native.library, libraries._in_wheel):
        found.cache_clear()


def test_a_function_is_called() -> None:
    assert native.function("ggml_blck_size", ctypes.c_int64, ctypes.c_int)(8) == 32  # Q8_0
    assert native.library_version()


def test_a_function_the_library_does_not_have() -> None:
    with pytest.raises(native.LibraryMissing, match="ggml_no_such"):
        native.function("ggml_no_such", None)


def test_without_the_wheel(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(native.LibraryMissing, match="not installed"):
        native.library()
    assert native.library_version() == ""


def test_another_library_is_taken(forgetful: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = libraries.prebuilt().path
    native.take(wheel, "mine 1")
    assert native.library_version() == "mine 1"
    assert native.has("llama_decode")
    assert not native.has("penjing_schema_to_grammar")
    native.take(tmp_path / "gone.so", "gone")
    with pytest.raises(native.LibraryMissing, match=r"gone\.so"):
        native.library()
