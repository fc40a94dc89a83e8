"""What a model cannot do is refused before the engine sees it: never dropped, never guessed.

Does not know: the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from penjing.engines.engine import Capabilities
from penjing.errors import ContextOverflow, InvalidRequest, Unsupported
from penjing.gateway.dialects.openai import wire

LONGEST_TOKEN = 256
"""Bytes. No vocabulary in use has a longer token, so a prompt of more than `context` times this cannot fit and need
not be tokenized to know it."""
LONGEST_GRAMMAR, DEEPEST_GRAMMAR = 1 << 16, 256
"""Characters, and groups within groups. llama.cpp reads a grammar by recursion without a bound: 50,000 parentheses, or
rules that name each other in a row, overflow its stack and end every conversation of the model."""
LITERALS = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*', re.DOTALL)
SILENT = {
    "repeat_penalty": 1,
    "typical_p": 1,
    "top_n_sigma": -1,
    "adaptive_target": -1,
    "repeat_last_n": 64,
    "n_keep": 0,
}
"""Values that ask for nothing; 0 and nothing ask for nothing everywhere."""
BY_ITSELF = (("tool_choice", "auto"), ("tool_choice", "none"))
"""What an engine does, or the gateway for it, where the field is passed over."""
MOST_ANSWERS = 2048
"""Prompts times choices in one request; OpenAI's own limit for a list."""


class CertainOverflow(ContextOverflow):
    """Facts: `tokens` (at least), `context`."""

    template = "The prompt has more than {tokens} tokens; this model was started with a context of {context}."


def check(body: wire.AnyBody, model: Capabilities) -> None:
    """Raises Unsupported, InvalidRequest, ContextOverflow."""
    if isinstance(body, wire.RerankBody):
        _refuse(not model.rerank, "reranking", "documents", model)
        _refuse(bool(body.return_documents), "'return_documents'", "return_documents", model)
        return
    if isinstance(body, wire.EmbeddingBody):
        _refuse(not model.embeddings, "embeddings", "input", model)
        _refuse(body.dimensions is not None, "'dimensions'", "dimensions", model)
        return
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest(detail="stream_options: only allowed when stream is true.", param="stream_options")
    _unheard(body, model)
    _grammar(body.grammar or "")
    _lora(body.lora, model)
    if isinstance(body, wire.ChatBody):
        _chat(body, model)
        size = sum(map(len, _texts(body)))
    else:
        _completion(body, model)
        prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        size = max((len(prompt) for prompt in prompts if isinstance(prompt, str)), default=0)
    # Characters are counted, not bytes: each is at least one.
    if model.context and size > model.context * LONGEST_TOKEN:
        raise CertainOverflow(tokens=size // LONGEST_TOKEN, context=model.context, param="messages")


def _unheard(body: wire.Shared, model: Capabilities) -> None:
    for name in sorted(model.unheard):
        value = getattr(body, name, None)
        silent = not value or value == SILENT.get(name) or isinstance(value, wire.TextFormat)
        _refuse(not silent and (name, value) not in BY_ITSELF, f"'{name}'", name, model)


def _lora(asked: list[wire.LoraScale] | None, model: Capabilities) -> None:
    if asked is None:
        return
    _refuse(not model.adapters, "'lora' (it has no adapters)", "lora", model)
    names = [name for name, _ in model.adapters]
    for index, each in enumerate(asked):
        known = each.name in names if each.name else each.id is not None and each.id < len(names)
        if not known or (each.name and each.id is not None):
            told = ", ".join(f"{number} {name}".strip() for number, name in enumerate(names))
            raise InvalidRequest(detail=f"lora[{index}]: one of these adapters is wanted: {told}.", param="lora")


def _chat(body: wire.ChatBody, model: Capabilities) -> None:
    _refuse(not model.chat, "chat (it has no chat template; use /v1/completions)", "messages", model)
    for index, message in enumerate(body.messages):
        if isinstance(message.content, list):
            _parts(message.content, f"messages[{index}].content", model)
    if body.tools and body.tool_choice != "none":
        _refuse(not model.tools, "tools (its chat template has no place for them)", "tools", model)
    elif body.tool_choice not in (None, "none", "auto"):
        raise InvalidRequest(detail="tool_choice: there are no tools to choose from.", param="tool_choice")
    if isinstance(body.tool_choice, wire.NamedTool):
        wanted = body.tool_choice.function.name
        if not any(tool.function.name == wanted for tool in body.tools or ()):
            raise InvalidRequest(detail=f"tool_choice: no tool is named '{wanted}'.", param="tool_choice")
    _refuse("audio" in (body.modalities or ()), "audio output", "modalities", model)
    _refuse(body.verbosity in ("low", "high"), "'verbosity'", "verbosity", model)
    _refuse(bool(body.store), "stored completions ('store')", "store", model)
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest(detail="top_logprobs: only allowed when logprobs is true.", param="top_logprobs")


def _parts(parts: list[wire.Part], place: str, model: Capabilities) -> None:
    for index, part in enumerate(parts):
        param = f"{place}[{index}]"
        _refuse(isinstance(part, wire.ImagePart) and not model.vision, "images", param, model)
        _refuse(isinstance(part, wire.AudioPart) and not model.audio, "sound", param, model)
        _refuse(isinstance(part, wire.FilePart), "files", param, model)


def _completion(body: wire.CompletionBody, model: Capabilities) -> None:
    _refuse(bool(body.echo), "'echo'", "echo", model)
    _refuse(bool(body.suffix), "'suffix'", "suffix", model)
    _refuse(body.best_of not in (None, 1, body.n), "'best_of' other than n", "best_of", model)
    if not body.prompt:
        raise InvalidRequest(detail="prompt: it is empty.", param="prompt")
    if len(wire.prompts(body)) * (body.n or 1) > MOST_ANSWERS:
        raise InvalidRequest(detail=f"prompt: more than {MOST_ANSWERS} answers (prompts times n).", param="prompt")


def _grammar(grammar: str) -> None:
    depth = deepest = 0
    if len(grammar) <= LONGEST_GRAMMAR:
        for sign in re.findall("[()]", LITERALS.sub("", grammar)):
            depth += 1 if sign == "(" else -1
            deepest = max(deepest, depth)
    if len(grammar) > LONGEST_GRAMMAR or deepest > DEEPEST_GRAMMAR:
        most = f"{LONGEST_GRAMMAR} characters and {DEEPEST_GRAMMAR} groups within groups"
        raise InvalidRequest(detail=f"grammar: more than {most}.", param="grammar")


def _texts(body: wire.ChatBody) -> Iterator[str]:
    for message in body.messages:
        if isinstance(message.content, str):
            yield message.content
        elif message.content:
            yield from (part.text for part in message.content if isinstance(part, wire.TextPart))


def _refuse(condition: bool, feature: str, param: str, model: Capabilities) -> None:
    if condition:
        raise Unsupported(feature=feature, model=model.model, param=param)
