"""No engine fetches for a client what the client could not fetch itself."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.running import Serving
from penjing.engines.fake import Script
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.wire import ChatBody
from penjing.gateway.images import ImageHostRefused, require_allowed

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def body(url: str) -> ChatBody:
    import json

    content: list[Any] = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "what?"}]
    return parse(json.dumps({"messages": [{"role": "user", "content": content}]}).encode(), ChatBody)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/metrics",
        "http://169.254.169.254/latest/meta-data",
        "https://example.org/a.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "ftp://pictures.example/a.png",
        "https://pictures.example@127.0.0.1/a.png",
        "https://pictures.example.evil/a.png",
        "https://127.0.0.1\\@pictures.example/a.png",
        "https://[::1/a.png",
    ],
)
def test_it_is_not_fetched(url: str) -> None:
    with pytest.raises(ImageHostRefused):
        require_allowed(body(url), ("pictures.example",))


def test_data_and_named_hosts_are() -> None:
    require_allowed(body(PIXEL), ())
    require_allowed(body("https://pictures.example/a.png"), ("pictures.example",))
    require_allowed(body("http://anywhere.example/a.png"), ("*",))
    with pytest.raises(ImageHostRefused):
        require_allowed(body("file:///etc/passwd"), ("*",))


async def test_through_the_gateway_and_its_counts(serving: Serving) -> None:
    async with serving(Script(vision=True)) as running:
        image = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/x.png"}}
        messages = [{"role": "user", "content": [image, {"type": "text", "text": "what?"}]}]
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            more = {} if path.endswith("tokens") else {"max_tokens": 5}
            status, said = await running.post(path, {"model": "fake", "messages": messages, **more})
            assert status == 400
            assert "Pictures" in said["error"]["message"]
        assert running.engine.requests == []
