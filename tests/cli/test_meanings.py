"""Every setting of a policy is explained, in both languages."""

from __future__ import annotations

import dataclasses

from penjing.cli.meanings import POLICIES
from penjing.cli.reference import policies
from penjing.language import catalogue


def test_every_setting_of_a_policy_is_explained() -> None:
    settings = {name: [field.name for field in dataclasses.fields(kind)] for name, kind in policies().items()}
    assert {name: list(meanings) for name, meanings in POLICIES.items()} == settings
    assert {text for meanings in POLICIES.values() for text in meanings.values()} <= catalogue("zh").keys()
