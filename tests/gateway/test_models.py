"""Which models a key knows of, and the engines' own figures."""

from __future__ import annotations

import pytest

from penjing.engines.fake import Fake
from penjing.engines.llamacpp.footprint import Footprint
from penjing.gateway.grant import OPEN, Grant
from penjing.gateway.house import House, NoSuchModel
from penjing.gateway.metrics import render
from penjing.gateway.models import chosen, known, metrics
from penjing.gateway.options import GatewayOptions
from penjing.operate.supervise import Supervised


class Weighed(Fake):
    """A fake that takes memory."""

    async def footprint(self) -> Footprint:
        return Footprint(mapped=4, mapped_resident=3, resident=2, private=1)


async def test_memory_of_a_supervised_engine() -> None:
    engine = Supervised(Weighed())
    await engine.start()
    page = render(await metrics({"fake": engine}, {}, {"fake": True})).decode()
    await engine.stop()
    for kind, size in (("mapped", 4), ("mapped_resident", 3), ("resident", 2), ("private", 1)):
        assert f'penjing_engine_{kind}_memory_bytes{{model="fake"}} {size}\n' in page
    gone = render(await metrics({"fake": engine}, {}, {"fake": False})).decode()
    assert 'penjing_engine_ready{model="fake"} 0\n' in gone
    assert "memory_bytes{" not in gone


def test_a_key_knows_of_the_models_it_may_ask() -> None:
    house = House({name: Fake(name=name) for name in ("big", "small-a", "small-b")}, GatewayOptions())
    some = Grant(name="some", models=("small-*",))
    assert list(known(house, OPEN)) == ["big", "small-a", "small-b"]
    assert list(known(house, some)) == ["small-a", "small-b"]
    assert chosen(house, OPEN, "")[0] == "big"
    assert chosen(house, some, "")[0] == "small-a"
    with pytest.raises(NoSuchModel) as refused:
        chosen(house, some, "big")
    assert refused.value.facts["known"] == "small-a, small-b"
    with pytest.raises(NoSuchModel):
        chosen(house, Grant(name="none", models=("other",)), "")
