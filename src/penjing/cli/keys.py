"""The verb `keys`: who may use the server, and how much. A running server takes changes over within a second."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.family import family
from penjing.cli.table import print_rows
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError
from penjing.language import say

if TYPE_CHECKING:
    from penjing.gateway.keyring.key import Key, Rights
    from penjing.gateway.keyring.ledger import Used

SPAN = re.compile(r"(\d{1,6})(s|m|h|d)|0")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
GRACE = "1d"
WANTED = {
    "grace": "a time such as 90s, 15m, 12h or 30d",
    "expires": "a day such as 2027-01-31, or a time such as 90s, 15m, 12h or 30d",
    "past": "in the future",
    "limit": "a whole number from 1",
    "budget": "a number above 0",
    "priority": "a whole number",
}
"""What values of options must be."""
MAY = {
    "requests_per_minute": "{count} requests a minute",
    "tokens_per_minute": "{count} tokens a minute",
    "concurrency": "{count} at once",
    "monthly_budget": "{count} US dollars a month",
    "priority": "priority {count}",
}
"""Limits of a key, for people."""
STATES = {"live": "live", "expired": "expired", "revoked": "revoked"}


class BadValue(InputError):
    """Facts: `option`, `value`, `wanted`."""

    template = "{option} {value}: this is not {wanted}."
    code = "invalid_value"


@verb(
    "add",
    help="Make an API key. It is shown once; only its SHA-256 is kept.",
    examples=(
        ("penjing keys add laptop", "A key that may everything."),
        ("penjing keys add shop --models 'qwen*' --requests 60 --tokens 20000", "With limits."),
        ("penjing keys add guest --expires 7d --concurrency 1 --priority -1", "For a week, behind the others."),
        ("KEY=$(penjing keys add script -q)", "Only the key on stdout."),
    ),
)
@argument("name", metavar="NAME", required=True)
@option("--models", metavar="NAME", multiple=True, help="What it may ask, as a name or 'qwen*'; may be given again.")
@option("--requests", "requests_per_minute", metavar="COUNT", help="Requests a minute.")
@option("--tokens", "tokens_per_minute", metavar="COUNT", help="Tokens a minute, read and written.")
@option("--concurrency", metavar="COUNT", help="Requests at once.")
@option("--budget", "monthly_budget", metavar="DOLLARS", help="What it may cost in a month, where models have prices.")
@option("--local-only", is_flag=True, help="What it sends never leaves hardware of the house.")
@option("--priority", metavar="NUMBER", help="Higher goes first; 0 where not given.")
@option("--expires", metavar="TIME", help="After so long, or on a day (UTC): 30d, 2027-01-31.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(name: str, expires: str | None, as_json: bool, **given: Any) -> None:
    """The door."""
    from penjing.gateway.keyring.book import Book

    rights = _rights(given)
    until = None if expires is None else _until(expires)
    book = Book()
    key, secret = book.add(name, rights, until)
    _tell(key, secret, as_json)
    if len(book.every()) == 1:
        talk.note("It is the first one: from now on the server lets nobody in without a key.")


@verb("list", help="Show the API keys, and what each used this month.")
@option("--all", "everything", is_flag=True, help="The revoked ones too.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(everything: bool, as_json: bool) -> None:
    """The door. What servers used is read from disk, where they write it every few seconds."""
    from penjing.gateway.keyring.book import Book
    from penjing.gateway.keyring.key import utc
    from penjing.gateway.keyring.ledger import NOTHING, this_month

    used = this_month()
    keys = [key for key in Book().every() if everything or key.revoked is None]
    if as_json:
        talk.data_json([_plain(key, used.get(key.name, NOTHING)) for key in keys])
        return
    if not keys:
        talk.note("There are no API keys: penjing keys add NAME makes one.")
        return
    heads = (say("NAME"), say("KEY"), say("STATE"), say("THIS MONTH"), say("MAY"))
    rows = [
        (key.name, key.prefix + "...", say(STATES[key.state(utc())]), _used(used.get(key.name, NOTHING)), _may(key))
        for key in keys
    ]
    print_rows([heads, *rows])


@verb("revoke", help="Let an API key in no more, at once.")
@argument("name", metavar="NAME", required=True)
def revoke(name: str) -> None:
    """The door."""
    from penjing.gateway.keyring.book import Book

    Book().revoke(name)
    talk.note("{name} is revoked.", name=name)


@verb(
    "rotate",
    help="Give an API key a new secret.",
    examples=(
        ("penjing keys rotate laptop --grace 12h", "The old one works for 12 hours more."),
        ("penjing keys rotate laptop --grace 0", "It leaked: the old one ends now."),
    ),
)
@argument("name", metavar="NAME", required=True)
@option("--grace", metavar="TIME", default=GRACE, help="How long the old secret still works; 1d where not given.")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def rotate(name: str, grace: str, as_json: bool) -> None:
    """The door."""
    from penjing.gateway.keyring.book import Book

    key, secret = Book().rotate(name, _span("--grace", grace, WANTED["grace"]))
    _tell(key, secret, as_json)
    if key.former:
        talk.note("The old one works until {time}.", time=f"{key.former[-1].until:%Y-%m-%d %H:%M} UTC")


keys = family("keys", "Make, list and revoke the API keys of the server.", (add, list_keys, revoke, rotate))


def _tell(key: Key, secret: str, as_json: bool) -> None:
    from penjing.gateway.keyring.ledger import NOTHING, this_month

    if as_json:
        talk.data_json({"key": secret, **_plain(key, this_month().get(key.name, NOTHING))})
    else:
        talk.data(secret)
    talk.note("This is the key '{name}'. Keep it now: it is not shown again.", name=key.name)


def _rights(given: dict[str, Any]) -> Rights:
    """Raises BadValue."""
    import msgspec

    from penjing.gateway.keyring.key import Rights

    options = {"requests_per_minute": "--requests", "tokens_per_minute": "--tokens", "monthly_budget": "--budget"}
    wanted = {"monthly_budget": WANTED["budget"], "priority": WANTED["priority"]}
    values: dict[str, Any] = {"models": given.pop("models"), "local_only": given.pop("local_only")}
    for name, text in given.items():
        if text is None:
            continue
        try:
            values[name] = msgspec.convert(text, type=float if name == "monthly_budget" else int, strict=False)
            Rights(**{name: values[name]})
        except ValueError as error:  # msgspec's too
            option = options.get(name, f"--{name}")
            raise BadValue(option=option, value=text, wanted=wanted.get(name, WANTED["limit"])) from error
    return Rights(**values)


def _until(text: str) -> datetime:
    """When a key ends. Raises BadValue."""
    now = datetime.now(timezone.utc)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        day = now + _span("--expires", text, WANTED["expires"])
    if day <= now:
        raise BadValue(option="--expires", value=text, wanted=WANTED["past"])
    return day


def _span(option: str, text: str, wanted: str) -> timedelta:
    match = SPAN.fullmatch(text.strip())
    if match is None:
        raise BadValue(option=option, value=text, wanted=wanted)
    return timedelta(**{UNITS[match[2]]: int(match[1])}) if match[1] else timedelta(0)


def _plain(key: Key, used: Used) -> dict[str, object]:
    """A key as JSON: never its digest, which is of use to nobody."""
    import msgspec

    from penjing.gateway.keyring.key import utc

    rights = {name: getattr(key.rights, name) for name in key.rights.__struct_fields__}
    times = {name: getattr(key, name) for name in ("created", "expires", "revoked")}
    plain = {
        "name": key.name,
        "prefix": key.prefix,
        "state": key.state(utc()),
        **times,
        "former_until": [each.until for each in key.former if each.until > utc()],
        **rights,
        "this_month": used,
    }
    return dict(msgspec.to_builtins(plain))


def _used(used: Used) -> str:
    tokens = used.prompt_tokens + used.completion_tokens
    said = say("{requests} requests, {tokens} tokens", requests=f"{used.requests:,}", tokens=f"{tokens:,}")
    return f"{said}, ${used.cost:.2f}" if used.cost else said


def _may(key: Key) -> str:
    """Its limits, for people."""
    rights = key.rights
    said = [", ".join(rights.models)] if rights.models else []
    for name, template in MAY.items():
        value = getattr(rights, name)
        if value:
            said.append(say(template, count=f"{value:g}"))
    if rights.local_only:
        said.append(say("local only"))
    if key.expires is not None:
        said.append(say("until {day}", day=f"{key.expires:%Y-%m-%d %H:%M} UTC"))
    return "; ".join(said) or say("everything")
