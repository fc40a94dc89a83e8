"""LiteLLM as a client, through three of the dialects."""

from __future__ import annotations

import importlib.util
import os
import warnings
from typing import Any

import pytest

from gateway.running import Process, user

if importlib.util.find_spec("litellm") is None:
    pytest.skip("in the environment of foreign clients", allow_module_level=True)
pytestmark = pytest.mark.clients

PROVIDERS = {"openai/guide": "/v1", "anthropic/guide": "", "ollama_chat/guide": ""}


@pytest.fixture(scope="module")
def litellm() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it asks the network while it is imported, else
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports warn of its own dependencies
        import litellm

    litellm.telemetry = False
    return litellm


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("model", PROVIDERS)
def test_whole_and_streamed(litellm: Any, real: Process, model: str) -> None:
    asked = {
        "model": model,
        "api_base": real.url + PROVIDERS[model],
        "api_key": "EMPTY",
        "messages": [user("What is quantization?")],
        "max_tokens": 60,
        "temperature": 0,
    }
    whole = litellm.completion(**asked)
    assert "bits" in whole.choices[0].message.content
    assert whole.usage.completion_tokens > 3
    pieces = [piece.choices[0].delta.content or "" for piece in litellm.completion(**asked, stream=True)]
    assert "".join(pieces).strip() == whole.choices[0].message.content.strip()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("model", ["openai/none", "anthropic/none"])
def test_errors_are_told_as_what_they_are(litellm: Any, real: Process, model: str) -> None:
    base = real.url + PROVIDERS[model.replace("none", "guide")]
    with pytest.raises(litellm.NotFoundError, match="no model 'none'"):
        litellm.completion(model=model, api_base=base, api_key="EMPTY", messages=[user("hi")], num_retries=0)
