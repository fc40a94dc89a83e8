from __future__ import annotations

from gateway.conftest import serving as serving  # the fixture
