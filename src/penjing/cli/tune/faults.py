"""What `penjing tune` may be asked in vain."""

from __future__ import annotations

from penjing.errors import InputError


class NotTuned(InputError):
    """Facts: `model`."""

    template = "Nothing was chosen for {model} on this machine."
    hint = "Find out what is quickest: penjing tune {model}"
    code = "not_tuned"
