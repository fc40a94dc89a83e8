"""What can be wrong between a hub and its devices, one class a fault.

    InputError
    ├── BadToken          TokenUsed  TokenExpired
    ├── NotJoined         JoinedAlready  NoHub
    ├── BadHub            BadBlobs   BadDatabase
    ├── OtherHub
    ├── HubRefused        (the hub's own words, HTTP status as it came)
    ├── NoRoot            NothingPublished  NoSuchDevice
    └── ExtraMissing
    AccessError
    └── HubKeyRefused
    NetworkError
    └── HubAway

Does not know: who raises them.
"""

from __future__ import annotations

from penjing.errors import AccessError, InputError
from penjing.sources.faults import NetworkError


class BadToken(InputError):
    """Facts: `detail`."""

    template = "This is not a token of a hub: {detail}"
    hint = "Whoever runs the hub makes one: penjing hub token"
    code = "token_invalid"
    status = 403


class TokenUsed(BadToken):
    """Facts: none."""

    template = "This token was used already; each lets one device in."
    code = "token_used"


class TokenExpired(BadToken):
    """Facts: `when`."""

    template = "This token was good until {when}."
    code = "token_expired"


class NotJoined(InputError):
    """Facts: none."""

    template = "This machine has joined no hub."
    hint = "penjing device join URL --token TOKEN; whoever runs the hub makes tokens: penjing hub token"
    code = "not_joined"


class NoHub(InputError):
    """Facts: none."""

    template = "It is not said which hub is meant."
    hint = "Set its address (PENJING_HUB_URL=URL), join one (penjing device join), or run one here: penjing hub serve"
    code = "not_joined"


class JoinedAlready(InputError):
    """Facts: `hub`, `name`."""

    template = "This machine has joined {hub} as '{name}'."
    hint = "Leave it first: penjing device leave"
    code = "joined_already"


class BadHub(InputError):
    """Facts: `value`."""

    template = "'{value}' is not the address of a hub."
    hint = "Write it whole, such as https://hub.example:8800"
    code = "invalid_value"


class OtherHub(InputError):
    """Its first root is not the one in the token. Facts: `hub`."""

    template = "{hub} is not the hub that made this token."
    hint = "Look at the address. If it is right, somebody stands between: ask whoever made the token."
    code = "other_hub"
    status = 403


class BadBlobs(InputError):
    """Facts: `value`, `detail`."""

    template = "'{value}' is no place for the hub's chunks: {detail}"
    hint = "Give a folder, or s3://BUCKET/PREFIX with the usual AWS_... variables."
    code = "invalid_value"


class BadDatabase(InputError):
    """Facts: `value` (without its password), `detail`."""

    template = "The hub's database {value} cannot be used: {detail}"
    hint = "Give sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME, and see that it runs."
    code = "database_unusable"


class HubRefused(InputError):
    """Facts: `hub`, `detail` (its words)."""

    template = "{hub} refused: {detail}"
    code = "hub_refused"


class NoRoot(InputError):
    """Facts: `hub`."""

    template = "{hub} does not say yet whose releases count."
    hint = "Publish something first: penjing hub publish MODEL"
    code = "hub_empty"
    status = 404


class NothingPublished(InputError):
    """Facts: `hub`, `model`."""

    template = "{hub} has no release of '{model}'."
    hint = "penjing hub list shows what it has; penjing hub publish MODEL adds to it."
    code = "not_published"
    status = 404


class NoSuchDevice(InputError):
    """Facts: `device`."""

    template = "There is no device '{device}' at this hub."
    hint = "penjing hub devices shows them."
    code = "no_such_device"
    status = 404


class ExtraMissing(InputError):
    """Facts: `detail` (the name of a package)."""

    template = "A hub needs packages that are not installed here ({detail})."
    hint = "pip install 'penjing[hub]'"
    code = "extra_missing"


class HubKeyRefused(AccessError):
    """Facts: none."""

    template = "The hub does not know this key."
    hint = (
        "Publishers: PENJING_HUB_KEY=KEY (where the hub runs: hub/admin.key in penjing's folder). Devices: join again."
    )
    code = "hub_key_refused"


class HubAway(NetworkError):
    """Facts: `hub`, `detail`."""

    template = "The hub {hub} cannot be reached: {detail}"
    hint = "Does it run there (penjing hub serve)? Another address: --hub URL, or PENJING_HUB_URL."
    code = "hub_unreachable"
