"""`serve --explain`: how each engine would be run, what it costs, and which rules choose between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.explain import as_document, print_table
from penjing.cli.local import derive
from penjing.cli.model import NotHere
from penjing.cli.table import print_rows
from penjing.gateway.routing.rules import Rule, listed
from penjing.language import say

if TYPE_CHECKING:
    from penjing.cli.engines import Served
    from penjing.gateway.policies.route import RouteOptions


def show(engines: Mapping[str, Served], route: RouteOptions, *, as_json: bool) -> None:
    """Print it. Raises NotHere where there is nothing but one URL, ModelError, SettingError, DeviceUnavailable."""
    (first, *others) = engines.values()
    if first.found is None and not others:
        raise NotHere(model=first.url)
    if as_json:
        talk.data_json(document(engines, route))
        return
    for each in engines.values():
        print_engine(each, alone=not others)
    if route.rules or route.fallback:
        talk.data(say("Which engine answers (the first rule that fits):"))
        print_rows([(rule.name or "-", conditions(rule), target(rule)) for rule in route.rules])
        talk.data(say("After those, and where no rule fits: {names}", names=", ".join(listed(route.fallback)) or "-"))
    if route.local_only:
        talk.data(say("Nothing leaves: every request is local only."))


def print_engine(each: Served, *, alone: bool) -> None:
    """One engine, and what is said of it."""
    if each.found is not None:
        print_table(derive(each.found, each.options, each.name, each.care, "many"))
    else:
        talk.data(f"{each.name}  {each.url}")
    rows = [("tags", ", ".join(each.tags))] if each.tags else []
    if each.price is not None:
        rows.append(("price", price(each)))
    if each.found is None or each.price is not None:
        rows.append(("local", str(each.engine.local).lower()))
    print_rows(rows)
    if not alone:
        talk.data("")


def price(each: Served) -> str:
    """What it costs, in one line."""
    if each.price is None:
        return ""
    cached = each.price.input if each.price.cached is None else each.price.cached
    return say(
        "US dollars for a million tokens: {input} read, {cached} cached, {output} written",
        input=each.price.input,
        cached=cached,
        output=each.price.output,
    )


def conditions(rule: Rule) -> str:
    """What a rule asks, as it is written."""
    return ", ".join(f"{name}={said(value)}" for name, value in rule.conditions.items()) or say("always")


def target(rule: Rule) -> str:
    """What comes of it."""
    where = [*listed(rule.to), *(["local_only"] if rule.local_only else [])]
    return "-> " + ", ".join(where)


def said(value: object) -> str:
    """A value as settings files have it."""
    if isinstance(value, tuple):
        return "|".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def document(engines: Mapping[str, Served], route: RouteOptions) -> dict[str, Any]:
    """For programs."""
    return {
        "engines": [described(each) for each in engines.values()],
        "rules": [
            {"name": rule.name, **rule.conditions, "to": listed(rule.to), "local_only": rule.local_only}
            for rule in route.rules
        ],
        "fallback": listed(route.fallback),
        "local_only": route.local_only,
    }


def described(each: Served) -> dict[str, Any]:
    """One engine; `choices` and `memory` where it is a model on this machine."""
    how = (
        as_document(derive(each.found, each.options, each.name, each.care, "many"))
        if each.found is not None
        else {"url": each.url}
    )
    cost = None
    if each.price is not None:
        cost = {"input": each.price.input, "output": each.price.output, "cached": each.price.cached}
    return {"name": each.name, "local": each.engine.local, "tags": each.tags, "price": cost, **how}
