"""penjing: a ChatGPT-like model on hardware people own. Everything here is imported when first used."""

from __future__ import annotations

__version__ = "0.1.0"
