"""Quantizations and places for the planner's tests."""

from __future__ import annotations

import dataclasses

from penjing.plan import devices, place
from penjing.plan.answer import Candidate
from penjing.plan.mixes import USUAL, quantized
from penjing.plan.place import Place
from penjing.probe.facts import Model
from planned_models import llama

PHONE = place.there(devices.find("8GB Android phone"))
LAPTOP = place.there(devices.find("Laptop DDR4"))
EIGHT = llama(36, 4096, 32, 8, 12288, parameters=8_190_000_000, vocabulary=151_936, context=40_960)


def candidates(model: Model, labels: tuple[str, ...] = USUAL) -> list[Candidate]:
    """Quantizations of `model` as a source might have them."""
    return [Candidate(label, quantized(model, label), "published") for label in labels]


def with_budget(where: Place, budget: int) -> Place:
    """The same place with so many bytes to take."""
    return dataclasses.replace(where, budget=budget)
