"""The thread that steps OpenVINO's pipeline: others hand over what is asked, and are told each token.

Its pipeline batches by itself, takes long prompts in pieces and shares beginnings between conversations.

Does not know: text, HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from penjing.engines.llamacpp.scheduler.asked import LENGTH, STOP, Ask, Said
from penjing.engines.llamacpp.scheduler.stepping import Stepping
from penjing.engines.openvino.generation import configuration, require_able
from penjing.errors import ContextOverflow, EngineError, Unsupported
from penjing.native.model import Model
from penjing.native.sampler import Sampling


class PipelineFailed(EngineError):
    """Facts: `detail`."""

    template = "OpenVINO could not compute: {detail}"
    code = "decode_failed"


@dataclass(frozen=True)
class Loaded:
    """A pipeline and what belongs to it: the `openvino` and `openvino_genai` modules, the `model`, of which only the
    vocabulary is loaded, its `name`, how many tokens a conversation may have (`each`)."""

    pipeline: Any
    openvino: Any
    genai: Any
    model: Model
    name: str
    each: int

    @property
    def context(self) -> Loaded:
        """Where the server looks for the model, as in a scheduler."""
        return self


@dataclass
class Running:
    """An answer that is being computed; `handle` is the pipeline's."""

    ask: Ask
    handle: Any


class Service(Stepping):
    """Steps `loaded.pipeline` in a thread of its own from `start` to `stop`. Everything else may be called from any
    thread."""

    def __init__(self, loaded: Loaded, usual: Sampling) -> None:
        super().__init__("pipeline")
        self.loaded = self.scheduler = loaded
        self._usual = usual
        self._running: list[Running] = []
        self._number = 0

    def cancel(self, ask: Ask) -> None:
        """Nobody waits for `ask` any more."""
        ask.cancelled = True

    @property
    def busy(self) -> int:
        """Answers that are being computed."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Those who wait to be let in."""
        return len(self._arrived)

    def _turn(self) -> None:
        if self._running:
            self._step()
        else:
            self._wait()

    def _begin(self, ask: Ask) -> None:
        unsaid = frozenset((*self.loaded.model.ends, *self.loaded.model.suppressed))
        require_able(ask, self._usual, self.loaded.name, unsaid)
        if not 0 < len(ask.prompt) < self.loaded.each:
            raise ContextOverflow(tokens=len(ask.prompt), context=self.loaded.each)
        for token in ask.prompt:
            self.loaded.model.check(token)
        ask.limit = max(1, min(ask.limit, self.loaded.each - len(ask.prompt)))
        self._number += 1
        tokens = self.loaded.openvino.Tensor(np.array([ask.prompt], np.int64))
        try:
            handle = self.loaded.pipeline.add_request(self._number, tokens, configuration(self.loaded.genai, ask))
        except RuntimeError as error:  # the library's own, for what it will not take
            raise PipelineFailed(detail=reason(error)) from error
        self._running.append(Running(ask, handle))

    def _step(self) -> None:
        for each in self._running:
            if each.ask.cancelled:
                each.handle.cancel()
        try:
            self.loaded.pipeline.step()
        except RuntimeError as error:
            failed = PipelineFailed(detail=reason(error))
            for each in self._running:
                each.handle.cancel()
                each.ask.hear(Said(-1, error=failed))
            self._running.clear()
            return
        self._running = [each for each in self._running if self._goes_on(each)]

    def _goes_on(self, one: Running) -> bool:
        """Tell what it said; whether there will be more."""
        if one.ask.cancelled:
            return False
        while one.handle.can_read():
            for output in one.handle.read().values():
                for token in output.generated_ids:
                    if not self._tell(one, int(token)):
                        return False
        if one.handle.get_status() == self.loaded.genai.GenerationStatus.IGNORED:
            one.ask.hear(Said(-1, error=PipelineFailed(detail="no room in the KV cache")))
            return False
        return True

    def _tell(self, one: Running, token: int) -> bool:
        one.ask.said.append(token)
        ended = token in one.ask.ends
        finish = STOP if ended else LENGTH if len(one.ask.said) >= one.ask.limit else ""
        wanted = one.ask.hear(Said(token, finish))
        if getattr(one.ask, "forced", None) and not finish:
            feature = "'reasoning_budget_tokens' with the engine openvino"
            one.ask.hear(Said(-1, error=Unsupported(feature=feature, model=self.loaded.name)))
            wanted = False
        if not wanted and not finish:
            one.handle.cancel()
        return wanted and not finish


def reason(error: RuntimeError) -> str:
    """The library's last words, without where in its sources they were said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
