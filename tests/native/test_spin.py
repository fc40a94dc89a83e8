import os
import subprocess
import sys

import pytest

from penjing.native import spin

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.fixture(autouse=True)
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def said() -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in NAMES)


def test_it_is_bound_for_what_is_loaded_meanwhile_only() -> None:
    with spin.bound():
        assert said() == ("1000", None)
    assert said() == (None, None)


def test_a_worker_of_ours_spins_longer() -> None:
    spin.longer()
    assert said() == ("10000", "active")


def test_a_worker_of_a_process_with_torch_spins_longer_all_the_same() -> None:
    spin.stay_bound()
    assert said() == ("1000", None)
    spin.longer()
    assert said() == ("10000", "active")


def test_what_a_person_said_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    with spin.bound():
        assert os.environ["GOMP_SPINCOUNT"] == "7"
    spin.stay_bound()
    spin.longer()
    assert said() == ("7", "active")


def test_what_a_process_with_the_library_starts_does_not_inherit_it() -> None:
    told = "import os; from penjing.native.library import library; library(); print(os.environ.get('GOMP_SPINCOUNT'))"
    child = subprocess.run((sys.executable, "-c", told), capture_output=True, text=True, check=True, timeout=60)
    assert child.stdout.strip() == "None"
