"""The verb `trust`: whose models may be loaded here, and signing one's own."""

from __future__ import annotations

from penjing.cli.family import family
from penjing.cli.trust.keys import add, init, list_keys, remove
from penjing.cli.trust.models import sign, verify

trust = family(
    "trust",
    "Say whose models may be loaded here, and sign your own.",
    (list_keys, add, remove, init, sign, verify),
    (
        ("penjing trust add office 'ed25519:...'", "Trust models that the office signed."),
        ("penjing trust init", "Make a key to sign with."),
        ("penjing trust sign mine", "Sign a model of the store."),
        ("penjing trust verify mine", "Who signed it, and is it still what was signed?"),
    ),
)
