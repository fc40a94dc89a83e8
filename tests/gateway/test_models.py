"""The engines' own figures."""

from __future__ import annotations

from penjing.engines.fake import Fake
from penjing.engines.llamacpp.footprint import Footprint
from penjing.gateway.metrics import render
from penjing.gateway.models import metrics
from penjing.operate.supervise import Supervised


class Weighed(Fake):
    """A fake that takes memory."""

    async def footprint(self) -> Footprint:
        return Footprint(mapped=4, mapped_resident=3, resident=2, private=1)


async def test_memory_of_a_supervised_engine() -> None:
    engine = Supervised(Weighed())
    await engine.start()
    page = render(await metrics({"fake": engine}, {})).decode()
    await engine.stop()
    for kind, size in (("mapped", 4), ("mapped_resident", 3), ("resident", 2), ("private", 1)):
        assert f'penjing_engine_{kind}_memory_bytes{{model="fake"}} {size}\n' in page
    gone = render(await metrics({"fake": engine}, {})).decode()
    assert 'penjing_engine_ready{model="fake"} 0\n' in gone
    assert "memory_bytes{" not in gone
