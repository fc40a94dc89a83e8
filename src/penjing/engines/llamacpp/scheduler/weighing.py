"""Requests for numbers: embeddings of texts, and how well documents answer a query.

Does not know: how they are computed.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from penjing.engines.llamacpp.scheduler import wishes
from penjing.engines.llamacpp.scheduler.embedding import Embedder, pair
from penjing.engines.llamacpp.scheduler.service import Service
from penjing.errors import InvalidRequest, Unsupported

Body = dict[str, Any]


class Weighing:
    """Answers with `embedder` between the steps of `service`; without one it refuses for the model `name`."""

    def __init__(self, service: Service, embedder: Embedder | None, name: str) -> None:
        self._service, self._embedder, self._name = service, embedder, name
        self._model = service.scheduler.context.model

    async def embeddings(self, request: web.Request, body: Body) -> web.Response:
        """OpenAI's /v1/embeddings. Raises Unsupported, InvalidRequest, ContextOverflow."""
        if self._embedder is None or self._embedder.rank:
            raise Unsupported(feature="embeddings", model=self._name)
        given = wishes.texts(body, "input")
        tokens = [self._model.tokenize(each, special=True) if isinstance(each, str) else each for each in given]
        found = await self._computed(self._embedder, tokens)
        coded = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": written(vector, coded=coded)}
            for index, vector in enumerate(found)
        ]
        return web.json_response({"object": "list", "model": self._name, "data": data, "usage": usage(tokens)})

    async def rank(self, request: web.Request, body: Body) -> web.Response:
        """Jina's /v1/rerank. Raises Unsupported, InvalidRequest, ContextOverflow."""
        if self._embedder is None or not self._embedder.rank:
            raise Unsupported(feature="reranking", model=self._name)
        query, documents = body.get("query"), wishes.texts(body, "documents")
        if not isinstance(query, str) or not all(isinstance(each, str) for each in documents):
            raise InvalidRequest(detail="query: a text is expected, and a list of them as documents.")
        tokens = [pair(self._model, query, str(each)) for each in documents]
        scores = (await self._computed(self._embedder, tokens))[:, 0]
        best = np.argsort(-scores, kind="stable")[: body.get("top_n") or len(documents)]
        results = [{"index": int(index), "relevance_score": float(scores[index])} for index in best]
        return web.json_response({"object": "list", "model": self._name, "results": results, "usage": usage(tokens)})

    async def _computed(self, embedder: Embedder, tokens: Sequence[list[int]]) -> NDArray[np.float32]:
        groups = list(embedder.groups(tokens))
        work = [asyncio.wrap_future(self._service.run(partial(embedder.embed, group))) for group in groups]
        return np.concatenate(await asyncio.gather(*work))


def written(vector: NDArray[np.float32], *, coded: bool) -> str | list[float]:
    """As JSON has it: numbers, or their bytes in base64."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if coded else [float(one) for one in vector]


def usage(tokens: Sequence[list[int]]) -> dict[str, int]:
    """What was read."""
    count = sum(map(len, tokens))
    return {"prompt_tokens": count, "total_tokens": count}
