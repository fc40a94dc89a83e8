"""Targets are found by name; what one does not have is refused, and so is an option that it would ignore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from penjing.errors import SettingError
from penjing.export import target as seam
from penjing.export.target import NotOfTarget, Options, TargetExtraMissing, precision, require, require_used, targets


@pytest.mark.parametrize("name", targets())
def test_a_target_says_what_it_is(name: str) -> None:
    made = seam.target(name)
    assert made.name == name
    assert made.precisions
    assert all(each == each.lower() and 0 < bits <= 32 for each, bits in made.precisions.items())
    assert made.takes in ("checkpoint", "gguf")
    assert set(made.uses) <= {"context", "calibration", "bits", "sequence"}


def test_unknown_names_are_refused_with_those_that_are_there() -> None:
    with pytest.raises(SettingError, match="onnx"):
        seam.target("toaster")
    made = seam.target("web")
    assert precision(made, None) == "as-is"
    with pytest.raises(SettingError, match="as-is"):
        precision(made, "int4")


def test_an_option_is_never_dropped() -> None:
    made: Any = seam.target("web")
    require_used(made, {"bits": "4", "context": None})
    with pytest.raises(NotOfTarget, match="--context"):
        require_used(made, {"context": "64"})


def test_a_missing_extra_is_named() -> None:
    class Mine:
        name, extra, packages = "mine", "things", ("json", "no_such_package_at_all")
        precisions: Mapping[str, float] = {"fp32": 32.0}

    made: Any = Mine()
    with pytest.raises(TargetExtraMissing, match="no_such_package_at_all") as missing:
        require(made)
    assert missing.value.advice("en") == "pip install 'penjing[things]'"


def test_the_context_is_the_models_at_most() -> None:
    assert Options("fp32").tokens(1024) == 1024
    assert Options("fp32").tokens(131072) == seam.CONTEXT
    assert Options("fp32", context=100_000).tokens(131072) == 100_000
