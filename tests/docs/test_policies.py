"""The policy that the docs show is installed as a package would be, and works."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penjing.engines.fake import Fake
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.table import Table
from penjing.gateway.house import House
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies import order
from penjing.gateway.reply import Incoming

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(params=["en", "zh"])
def installed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    page = (DOCS / request.param / "policies.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n# house_rules.py\n(.*?)```", page, re.DOTALL)
    ((group, line),) = re.findall(r'```toml\n\[project.entry-points."(.*?)"\]\n(.*?)\n```', page)
    assert len([each for each in code.splitlines() if each.strip()]) <= 23
    (tmp_path / "house_rules.py").write_text(code, encoding="utf-8")
    (tmp_path / "house_rules-1.0.dist-info").mkdir()
    (tmp_path / "house_rules-1.0.dist-info/METADATA").write_text("Name: house-rules\nVersion: 1.0\n")
    registered = f"[{group}]\n{line}\n".replace('"', "")
    (tmp_path / "house_rules-1.0.dist-info/entry_points.txt").write_text(registered)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("house_rules", None)


async def answered(ask: Ask) -> Any:
    return "answered"


def chat(messages: int) -> Ask:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}] * messages}).encode()
    incoming = Incoming("POST", "/v1/chat/completions", body=body)
    endpoint = Table().endpoint(incoming)
    assert endpoint is not None
    return Ask(endpoint, incoming)


@pytest.mark.usefixtures("installed")
async def test_it_is_found_in_its_place_and_does_what_it_says() -> None:
    names = [step.name for step in order.steps()]
    assert names.index("most_messages") == names.index(order.AFTER) + 1
    house = House({"fake": Fake()}, GatewayOptions())
    step: Any = next(step for step in order.steps() if step.name == "most_messages")
    assert step.build(step.options(), house) is None
    policy = step.build(step.options(most=2), house)
    assert policy is not None
    ask = chat(2)
    assert await policy(ask, answered) == "answered"
    assert ask.notes == {"x-messages": "2"}
    with pytest.raises(Exception, match="at most 2 messages; this one has 3"):
        await policy(chat(3), answered)
