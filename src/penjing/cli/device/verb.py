"""The verb `device`: this machine follows a hub."""

from __future__ import annotations

from penjing.cli.device.joining import join, leave
from penjing.cli.device.syncing import status, sync
from penjing.cli.family import family

device = family(
    "device",
    "Let this machine follow a hub's releases.",
    (join, sync, status, leave),
    (
        ("penjing device join https://hub.example:8800 --token TOKEN", "Once."),
        ("penjing device sync --follow", "Keep every model at its release, from now on."),
    ),
)
