"""One conversation with one engine: what is said is kept, an engine that dies comes back, a question can be stopped.

Does not know: terminals. Both the interactive loop and the one-shot answer stand on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from penjing.cli.chat.answer import Clock, ConnectionLost, ask
from penjing.cli.chat.conversation import Conversation
from penjing.cli.model import Opened
from penjing.engines.engine import Engine
from penjing.errors import EngineDied, EngineError, PenjingError, SettingError
from penjing.language import say
from penjing.messages import Delta, Finish, FinishReason
from penjing.operate.supervise import Supervised

NEXT_LOOK = 0.05  # seconds between two looks at an engine that is coming back
LOOKS = 20  # within which a supervisor has noticed that its engine died
PATIENCE = 120.0  # seconds an engine may take to come back


class EngineGone(EngineError):
    """It did not come back. Facts: `model`, `seconds`."""

    template = "The engine of {model} did not come back within {seconds} s."
    hint = "Save the conversation with /save, leave, and start again."
    code = "engine_gone"


@dataclass(frozen=True)
class ChatSettings:
    """Section `[chat]`. None leaves a sampling value to the model."""

    system: str = ""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    think: bool | None = None
    stats: bool = False
    markdown: bool = True

    def __post_init__(self) -> None:
        self._within("temperature", 0, 5)
        self._within("top_p", 0, 1)
        self._within("top_k", 0, 1 << 20)
        self._within("max_tokens", 1, 1 << 30)

    def _within(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if value is not None and not low <= value <= high:
            wanted = say("{word} from {low} to {high}", word="a number", low=low, high=high)
            raise SettingError(name=name, value=value, wanted=wanted, source="")


@dataclass
class Answer:
    """What came back. `finish` is empty for one that was stopped by the person."""

    clock: Clock = field(default_factory=Clock)
    text: str = ""
    reasoning: str = ""
    finish: FinishReason | str = ""


Hear = Callable[[Delta], None]


class Session:
    """Holds the engine and the conversation."""

    def __init__(self, opened: Opened, settings: ChatSettings) -> None:
        self.opened = opened
        self.settings = settings
        self.conversation = Conversation()
        self.conversation.system = settings.system
        self.think = settings.think

    @property
    def engine(self) -> Engine:
        """The engine that answers."""
        return self.opened.engine

    async def answer(self, hear: Hear) -> Answer:
        """Ask with the conversation as it is; the answer joins it, also where it was stopped (cancelled) halfway.

        Raises PenjingError; what was said stays in the conversation, so that the question can be asked again.
        """
        answer = Answer()
        address, model = self.engine.address, self.engine.capabilities.model
        restarts = self._restarts()
        answer.clock.start()
        try:
            async for event in ask(address, model, self.body()):
                answer.clock.hear(event)
                if isinstance(event, Delta):
                    answer.text += event.text
                    answer.reasoning += event.reasoning
                    hear(event)
                elif isinstance(event, Finish):
                    answer.finish = event.reason
        except ConnectionLost as error:
            raise await self._why(error, answer, restarts) from error
        except asyncio.CancelledError:
            self._keep(answer)
            raise
        self._keep(answer)
        return answer

    def _keep(self, answer: Answer) -> None:
        if answer.text or answer.finish:
            self.conversation.add("assistant", answer.text, answer.reasoning)

    def body(self) -> dict[str, object]:
        """The request, without what `ask` adds."""
        body: dict[str, object] = {"messages": self.conversation.wire()}
        for name in ("temperature", "top_p", "top_k", "seed", "max_tokens"):
            if (value := getattr(self.settings, name)) is not None:
                body[name] = value
        if self.opened.file is not None:
            body["reasoning_format"] = "auto"  # thoughts apart from the answer
        if self.think is not None:
            body["chat_template_kwargs"] = {"enable_thinking": self.think}
        return body

    def _restarts(self) -> int:
        return self.engine.restarts if isinstance(self.engine, Supervised) else 0

    async def _why(self, error: ConnectionLost, answer: Answer, restarts: int) -> PenjingError:
        """An engine of ours that broke off has died, as its supervisor notices; another's is only out of reach."""
        engine = self.engine
        if not isinstance(engine, Supervised):
            return error
        for _ in range(LOOKS):  # a closed pipe is seen before the end of the process behind it
            if engine.state == "ready" and engine.restarts == restarts:
                await asyncio.sleep(NEXT_LOOK)
        if engine.state == "ready" and engine.restarts == restarts:
            return error
        return EngineDied(model=self.engine.name, how=engine.detail, begun=bool(answer.text))

    async def back(self) -> None:
        """Wait until our engine, restarted by its supervisor, answers again. Raises EngineError when it gave up."""
        if not isinstance(self.engine, Supervised):
            return
        until = time.monotonic() + PATIENCE
        while not await self.engine.ready():
            if self.engine.state == "failed":
                self.engine.address  # noqa: B018 - raises why it gave up
            if time.monotonic() > until:
                raise EngineGone(model=self.engine.name, seconds=round(PATIENCE))
            await asyncio.sleep(NEXT_LOOK)

    async def switch(self, opened: Opened) -> None:
        """Go on with another model; the one at hand stays when the other cannot be started."""
        try:
            await opened.engine.start()
        except BaseException:  # cancelled too: nobody else would end its worker
            await opened.engine.stop()
            raise
        before, self.opened = self.opened, opened
        await before.engine.stop()
