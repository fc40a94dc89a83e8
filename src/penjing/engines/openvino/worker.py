"""The child process that holds one model with OpenVINO: `python -m penjing.engines.openvino.worker`.

Started, spoken to and ended as `engines.llamacpp.worker` is (see there).

Does not know: how its settings were chosen, who talks to it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from penjing.engines.llamacpp.scheduler import wishes, worker
from penjing.engines.llamacpp.settings import Settings
from penjing.engines.openvino.service import Loaded, PipelineFailed, Service, reason
from penjing.errors import EngineStartFailed
from penjing.native.model import Model

if TYPE_CHECKING:
    from aiohttp import web

BLOCK = 32
"""Tokens in a block of the pipeline's cache on processors (openvino.genai, continuous_batching/cache_manager.hpp)."""
CACHES = {"f32": "f32", "f16": "f16", "bf16": "bf16", "q8_0": "u8", "q4_0": "u4"}
"""Types of the cache, in OpenVINO's words."""


def made(settings: Settings) -> tuple[Service, web.Application]:
    """The pipeline and its server, warmed up: the first answer compiles kernels. Raises EngineStartFailed, LoadFailed,
    LibraryMissing."""
    from penjing.engines.openvino.server import Server

    loaded = load(settings)
    service = Service(loaded, wishes.defaults(loaded.model))
    return service, Server(service, settings).app


def load(settings: Settings) -> Loaded:
    """The model in memory. Raises EngineStartFailed with OpenVINO's own words."""
    import openvino
    import openvino_genai as genai

    model = Model(settings.model, vocabulary_only=True)
    plan = genai.SchedulerConfig()
    plan.max_num_seqs = settings.slots
    plan.num_kv_blocks = -(-settings.pool // BLOCK) + settings.slots
    plan.cache_size = 0
    plan.max_num_batched_tokens = settings.ubatch
    plan.dynamic_split_fuse = plan.enable_prefix_caching = True
    properties: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": settings.threads,
        "KV_CACHE_PRECISION": CACHES[settings.kv_type],
    }
    try:
        pipeline = genai.ContinuousBatchingPipeline(settings.model, plan, "CPU", properties)
        loaded = Loaded(pipeline, openvino, genai, model, settings.name, settings.context)
        warm(loaded)
    except (RuntimeError, PipelineFailed) as error:
        detail = reason(error) if isinstance(error, RuntimeError) else str(error)
        raise EngineStartFailed(model=settings.name, detail=f"OpenVINO: {detail}") from error
    return loaded


def warm(loaded: Loaded) -> None:
    """Answer once, so that whoever asks first does not wait for the compiler of kernels."""
    import numpy as np

    config = loaded.genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos = 2, True
    tokens = np.full((1, min(BLOCK, loaded.each - 2)), loaded.model.vocabulary_size - 1, np.int64)
    handle = loaded.pipeline.add_request(0, loaded.openvino.Tensor(tokens), config)
    while loaded.pipeline.has_non_finished_requests():
        loaded.pipeline.step()
    handle.read_all()


if __name__ == "__main__":
    sys.exit(worker.main(made))
