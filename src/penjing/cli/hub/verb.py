"""The verb `hub`: one place from which many machines get their models."""

from __future__ import annotations

from penjing.cli.family import family
from penjing.cli.hub.devices import assign, devices, forget, token
from penjing.cli.hub.publishing import list_models, publish, renew
from penjing.cli.hub.serving import serve

hub = family(
    "hub",
    "Give models to many machines, and see how they fare.",
    (serve, publish, renew, list_models, token, devices, assign, forget),
    (
        ("penjing hub serve --host 0.0.0.0", "Run one here."),
        ("penjing hub publish qwen3", "Let every device have the stable version of this machine."),
        ("penjing hub token", "Let a device in; type there: penjing device join URL --token TOKEN"),
    ),
)
