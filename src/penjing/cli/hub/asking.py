"""The hub that the verbs of `hub` ask, with the key of a publisher; numbers that are typed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from penjing.errors import SettingError

if TYPE_CHECKING:
    from penjing.fleet.client import Hub


def asked(url: str | None) -> Hub:
    """`url`, else `[hub] url`, else the hub that runs here, else the one this machine has joined. Raises NoHub,
    BadHub."""
    from penjing.fleet.client import Hub
    from penjing.fleet.device.joined import joined_or_none
    from penjing.fleet.faults import NoHub
    from penjing.fleet.settings import HubSettings, own_url, publisher_key
    from penjing.settings import load

    settings = load(HubSettings, "hub", {"url": url}).value
    known = joined_or_none()
    found = settings.url or own_url() or (known.url if known is not None else "")
    if not found:
        raise NoHub
    return Hub(found, publisher_key(settings))


def up_to(most: float, name: str, text: str) -> float:
    """The number typed after `--name`. Raises SettingError where it is none, or more than `most`."""
    from msgspec import Meta

    from penjing.settings import wanted

    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= most:
        number = wanted(Annotated[float, Meta(ge=1, le=most)])
        raise SettingError(name=name, value=text, wanted=number, source=f"--{name}")
    return found
