import ctypes

import pytest

from penjing.native import library as native


@pytest.fixture
def forgetful() -> object:
    """The library is loaded once a process; these tests look again."""
    native.library.cache_clear()
    yield
    native.library.cache_clear()


def test_a_function_is_called() -> None:
    assert native.function("ggml_blck_size", ctypes.c_int64, ctypes.c_int)(8) == 32  # Q8_0
    assert native.library_version()


def test_a_function_the_library_does_not_have() -> None:
    with pytest.raises(native.LibraryMissing, match="ggml_no_such"):
        native.function("ggml_no_such", None)


def test_without_the_wheel(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "find_spec", lambda name: None)
    with pytest.raises(native.LibraryMissing, match="not installed"):
        native.library()
    monkeypatch.setattr(native, "PACKAGE", "no-such-wheel")
    assert native.library_version() == ""
