"""llama.cpp on one GGUF file, asked for what tests compare."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xllamacpp
from numpy.typing import NDArray

F32 = 0  # ggml.h, ggml_type


class Engine:
    """A running server in this process."""

    def __init__(self, server: Any, vocabulary: int) -> None:
        self.server = server
        self.vocabulary = vocabulary

    def logprobs(self, ids: list[int]) -> NDArray[np.float32]:
        """The log-probabilities [vocabulary] of the token after `ids`."""
        request = {
            "prompt": ids,
            "n_predict": 1,
            "n_probs": self.vocabulary,
            "temperature": 0.0,
            "post_sampling_probs": False,
            "cache_prompt": False,
            "stream": False,
        }
        answer = self.server.handle_completions(request)
        answer = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
        found = np.full(self.vocabulary, np.nan, np.float32)
        assert answer["choices"][0]["logprobs"], str(answer)[:400]
        for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
            found[entry["id"]] = entry["logprob"]
        return found

    def sampling(self) -> dict[str, Any]:
        """How requests are sampled that do not say."""
        with urllib.request.urlopen(self.server.listening_address + "/props") as answer:
            return dict(json.load(answer)["default_generation_settings"]["params"])

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Ids of `text`, with the beginning and end marks where `special`."""
        body = json.dumps({"content": text, "add_special": special, "parse_special": True}).encode()
        request = urllib.request.Request(
            self.server.listening_address + "/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return list(json.load(answer)["tokens"])


@contextmanager
def running(path: Path, vocabulary: int, context: int = 128) -> Iterator[Engine]:
    """llama.cpp with one slot, one thread and a cache in f32. It has answered once before it is given out: a server
    that is ended before its loop has begun waits for that loop for ever (llama.cpp's `server_queue`)."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context
    params.n_batch = params.n_ubatch = context
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.n_gpu_layers = 0
    params.flash_attn_type = xllamacpp.llama_flash_attn_type(0)
    params.warmup = False
    params.verbosity = 0
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type(F32)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    server = xllamacpp.Server(params)
    server.handle_completions({"prompt": [0], "n_predict": 1, "stream": False})
    yield Engine(server, vocabulary)
    del server
