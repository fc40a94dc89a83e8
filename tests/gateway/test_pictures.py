"""Pictures from end to end: a model and its projector are fetched, served, and asked in every dialect that has
pictures; a model that does not see refuses them in the dialect's own form."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.running import Process, finish, launch
from model_hub import Repository, serving
from penjing.store.resolve import guide
from tiny_projector import picture, write

pytestmark = pytest.mark.extras  # a server with a real model that sees

RED = base64.b64encode(picture(255, 0, 0)).decode()
URL = f"data:image/png;base64,{RED}"
TEXT = "What is this?"
SOURCE = {"type": "base64", "media_type": "image/png", "data": RED}
PARTS: list[dict[str, Any]] = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": URL}}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PARTS}], "max_tokens": 8},
    "/v1/messages": {
        "messages": [{"role": "user", "content": [PARTS[0], {"type": "image", "source": SOURCE}]}],
        "max_tokens": 8,
    },
    "/v1/responses": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": TEXT},
                    {"type": "input_image", "detail": "auto", "image_url": URL},
                ],
            }
        ],
        "max_output_tokens": 16,
    },
    "/api/chat": {
        "messages": [{"role": "user", "content": TEXT, "images": [RED]}],
        "stream": False,
        "options": {"num_predict": 8},
    },
    "/api/generate": {"prompt": TEXT, "images": [RED], "stream": False, "options": {"num_predict": 8}},
}
READ = {
    "/v1/chat/completions": lambda told: told["usage"]["prompt_tokens"],
    "/v1/messages": lambda told: told["usage"]["input_tokens"] + told["usage"]["cache_read_input_tokens"],
    "/v1/responses": lambda told: told["usage"]["input_tokens"],
    "/api/chat": lambda told: told["prompt_eval_count"],
    "/api/generate": lambda told: told["prompt_eval_count"],
}
"""Tokens of the question, the picture's among them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """`seeing`, fetched from a place that has a projector beside it, and `guide`, which is blind."""
    home = tmp_path_factory.mktemp("home")
    eyes = write(home / "mmproj.gguf", 256).read_bytes()
    files = {"see-Q8_0.gguf": guide().read_bytes(), "mmproj-F32.gguf": eyes}
    with pytest.MonkeyPatch.context() as patch, serving({"o/see": Repository(files)}) as hub:
        patch.setenv("PENJING_HOME", str(home))
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("HF_HUB_CACHE", str(home / "none"))
        pull = (sys.executable, "-m", "penjing", "pull", "hf:o/see", "--name", "seeing")
        subprocess.run(pull, check=True, capture_output=True, timeout=120)
        made = launch("guide", "--parallel", "1", model="seeing")
        yield made
        finish(made)


def test_who_sees_is_said(server: Process) -> None:
    told = httpx.get(f"{server.base}/models").json()["data"]
    assert {each["id"].partition(":")[0]: "vision" in each["capabilities"] for each in told} == {
        "seeing": True,
        "guide": False,
    }


@pytest.mark.parametrize("path", BODIES)
def test_seen_in_every_dialect(server: Process, path: str) -> None:
    body = {"model": seeing(server), **BODIES[path]}
    answer = httpx.post(server.url + path, json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert READ[path](answer.json()) > 4  # the four pieces of the picture, and the words


@pytest.mark.parametrize("path", BODIES)
def test_a_blind_model_refuses(server: Process, path: str) -> None:
    answer = httpx.post(server.url + path, json={"model": "guide", **BODIES[path]}, timeout=60)
    assert answer.status_code == 400
    assert "images" in answer.text


@pytest.mark.parametrize("data", [b"no picture", Path(__file__).read_bytes()])
def test_what_is_no_picture_is_said_so(server: Process, data: bytes) -> None:
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    parts = [PARTS[0], {"type": "image_url", "image_url": {"url": url}}]
    body = {"model": seeing(server), "messages": [{"role": "user", "content": parts}]}
    answer = httpx.post(f"{server.base}/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def seeing(server: Process) -> str:
    told = httpx.get(f"{server.base}/models").json()["data"]
    return next(str(each["id"]) for each in told if "vision" in each["capabilities"])
