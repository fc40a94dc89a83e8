from __future__ import annotations

import pytest

from penjing.shrink import blas


def test_one_thread_and_then_as_before() -> None:
    found = blas._functions()
    if found is None:
        pytest.skip("numpy has another library than OpenBLAS here")
    get, put = found
    put(2)
    with blas.one_thread():
        assert get() == 1
        with blas.one_thread():
            assert get() == 1
        assert get() == 1
    assert get() == 2


def test_where_numpy_has_another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_functions", lambda: None)
    with blas.one_thread():
        pass
