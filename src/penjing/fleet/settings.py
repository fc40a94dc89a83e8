"""What is set of a hub, where it runs and where it is asked.

Does not know: what is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from penjing.errors import SettingError
from penjing.files import home


@dataclass(frozen=True)
class HubSettings:
    """Section `[hub]`. `url`: the hub that publishers and `hub:` names mean, `key` what lets one publish. All else is
    for who runs it. `database`: a URL; a file of SQLite in PENJING_HOME/hub where not given. `blobs`: a folder, or
    `s3://BUCKET/PREFIX`. `private`: reading needs a key too. `every`: seconds between two polls of a device. `mirrors`:
    addresses that devices fetch chunks from before they ask the hub. `log`: a file for a line of JSON a request."""

    host: str = "127.0.0.1"
    port: int = 8800
    database: str = ""
    blobs: str = ""
    private: bool = False
    every: Annotated[float, Meta(gt=0)] = 60.0
    mirrors: tuple[str, ...] = ()
    log: Path | None = None
    url: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingError(name="port", value=self.port, wanted="a port (0 ... 65535)", source="")


def folder() -> Path:
    """Where a hub keeps its own."""
    return home() / "hub"


def key_path() -> Path:
    """The key of publishers, where the hub runs."""
    return folder() / "admin.key"


def url_path() -> Path:
    """Where the hub that runs here, or ran here last, says its address."""
    return folder() / "url"


def own_url() -> str:
    """Its address; "" where none ever ran here."""
    try:
        return url_path().read_text(encoding="ascii").strip()
    except OSError:
        return ""


def publisher_key(settings: HubSettings) -> str:
    """What lets this machine publish; "" where nothing does."""
    if settings.key:
        return settings.key
    try:
        return key_path().read_text(encoding="ascii").strip()
    except OSError:
        return ""
