"""What hub, devices and publishers say to each other, as JSON.

Does not know: how it travels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ALL = ("*",)
STABLE = "stable"


@dataclass(frozen=True)
class Wish:
    """For a token: `channel` and `models` (patterns of names) of the device that will use it; good for `hours`."""

    channel: str = STABLE
    models: tuple[str, ...] = ALL
    hours: float = 24.0


@dataclass(frozen=True)
class Enrolment:
    """`key` is the device's own secret, made by it, so that asking twice (a lost answer) is no second use."""

    token: str
    key: str
    name: str
    platform: str = ""


@dataclass(frozen=True)
class Orders:
    """What a device is to do: follow `channel` of `models`, and ask again after `every` seconds. Chunks may be fetched
    from `mirrors`, which need not be trusted."""

    device: str
    name: str
    channel: str = STABLE
    models: tuple[str, ...] = ALL
    every: float = 60.0
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """How a device fares. `models`: the version's digest that is stable there, by name. `doing`: `resting`, `fetching`
    or `failed`; `code` and `detail` of the fault, also of one that it got around. `fetched`: bytes of chunks since it
    joined. `penjing`: its version."""

    doing: str = "resting"
    models: dict[str, str] = field(default_factory=dict)
    code: str = ""
    detail: str = ""
    fetched: int = 0
    penjing: str = ""


@dataclass(frozen=True)
class Device:
    """As the hub knows it. Times in RFC 3339."""

    id: str
    name: str
    channel: str
    models: tuple[str, ...]
    platform: str
    joined: str
    seen: str
    state: State


@dataclass(frozen=True)
class Change:
    """Of a device, where not None."""

    channel: str | None = None
    models: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Released:
    """A model at the hub: `counter` of its release, `sha256` of the document."""

    name: str
    counter: int
    sha256: str


@dataclass(frozen=True)
class Missing:
    """Digests of chunks, in hex: asked of the hub; of them, those it does not have."""

    chunks: tuple[str, ...]
