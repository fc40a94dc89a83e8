"""A real reranker: which document answers a query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.running import Process, finish, launch
from tiny_model import write_tiny_gguf

RANK = 4  # llama.h, LLAMA_POOLING_TYPE_RANK


@pytest.fixture(scope="module")
def ranking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    model = write_tiny_gguf(tmp_path_factory.mktemp("rank") / "ranker.gguf", pooling=RANK)
    server = launch("--parallel", "1", "--max-context", "512", model=str(model))
    yield server
    finish(server)


def asked(server: Process, **fields: Any) -> httpx.Response:
    body = {"query": "what is a panda", "documents": ["hi", "a bear", "a city"], **fields}
    return httpx.post(f"{server.base}/rerank", json=body, timeout=60)


def test_each_document_gets_a_score(ranking: Process) -> None:
    said = asked(ranking).json()
    assert sorted(each["index"] for each in said["results"]) == [0, 1, 2]
    assert all(isinstance(each["relevance_score"], float) for each in said["results"])
    assert said["usage"]["prompt_tokens"] > 0
    assert len(asked(ranking, top_n=2).json()["results"]) == 2
    objects = [{"text": "hi"}, "a bear", {"text": "a city"}]
    assert asked(ranking, documents=objects).json()["results"] == said["results"]


def test_its_vectors_would_mean_nothing(ranking: Process) -> None:
    answer = httpx.post(f"{ranking.base}/embeddings", json={"input": "x"}, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported")
    models = httpx.get(f"{ranking.base}/models", timeout=60).json()["data"]
    assert "rerank" in models[0]["capabilities"]


@pytest.mark.parametrize(
    "fields", [{"documents": []}, {"documents": [3]}, {"top_n": 0}, {"return_documents": True}, {"q": 1}]
)
def test_what_cannot_be_asked(ranking: Process, fields: dict[str, Any]) -> None:
    assert asked(ranking, **fields).status_code == 400


def test_a_model_that_writes_does_not_rank(real: Process) -> None:
    answer = asked(real)
    assert answer.status_code == 400
    assert "reranking" in answer.json()["error"]["message"]
