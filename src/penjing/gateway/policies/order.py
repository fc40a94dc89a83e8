"""The policies in the order in which a request meets them. This list is the only place that says it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from penjing.gateway.house import House
from penjing.gateway.policies import admission, audit, cache, canary, context, degrade, feedback, keys, route, spending
from penjing.gateway.policies.policy import Policy, Step

GROUP = "penjing.policies"
ORDER: tuple[Step, ...] = (
    audit.STEP,
    keys.STEP,
    spending.STEP,
    feedback.STEP,
    canary.STEP,
    route.STEP,
    cache.STEP,
    admission.STEP,
    degrade.STEP,
    context.STEP,
)
AFTER = "keys"
"""Policies of others stand behind this one: who asks is known, nothing is decided yet."""


def steps() -> tuple[Step, ...]:
    """Our own and those that installed packages register under the entry-point group `penjing.policies`."""
    others = tuple(entry.load() for entry in entry_points(group=GROUP))
    place = next(index for index, step in enumerate(ORDER) if step.name == AFTER) + 1
    return (*ORDER[:place], *others, *ORDER[place:])


def policies(house: House, options: Mapping[str, object]) -> tuple[Policy, ...]:
    """Built from `options` (the name of a step to its options; its defaults where there are none)."""
    built = [step.build(options.get(step.name) or step.options(), house) for step in steps()]
    return tuple(policy for policy in built if policy is not None)
