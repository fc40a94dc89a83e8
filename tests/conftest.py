from __future__ import annotations

from hypothesis import settings

settings.register_profile("penjing", deadline=None)  # no test fails because a machine is slow
settings.load_profile("penjing")
