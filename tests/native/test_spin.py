import os
from collections.abc import Callable

import pytest

from penjing.native import spin

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize(("bound", "said"), [(spin.bound, ("1000", None)), (spin.longer, ("10000", "active"))])
def test_what_a_person_said_stays(
    bound: Callable[[], None], said: tuple[str | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    bound()
    assert tuple(os.environ.get(name) for name in NAMES) == said
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    bound()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
