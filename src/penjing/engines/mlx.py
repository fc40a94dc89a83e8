"""Apple's MLX as an engine: mlx-lm's own server, a process of ours on a port of this machine.

It takes a checkpoint folder (safetensors and tokenizer, as Hugging Face and mlx-community have them), not a GGUF. Its
HTTP surface: https://github.com/ml-explore/mlx-lm, mlx_lm/server.py. Written after that and tested with a stand-in that
speaks the same HTTP; not run on a Mac.

Does not know: restarting (`operate.supervise`), requests, which machine is worth it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import platform
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.engines.engine import Address, Capabilities, Progress
from penjing.engines.known import Known
from penjing.engines.llamacpp.options import EngineOptions
from penjing.engines.llamacpp.process import end, ending
from penjing.engines.never import never
from penjing.errors import EngineStartFailed, InputError, ModelUnsupported, SettingError
from penjing.files import home

if TYPE_CHECKING:
    import aiohttp

COMMAND = (sys.executable, "-m", "mlx_lm", "server")
MODEL = "default_model"
"""What its server calls the model it was started with (mlx_lm/server.py); any other name it would try to fetch."""
PATIENCE, GRACE = 600.0, 5.0
"""Seconds it may take to load, and between SIGTERM and SIGKILL."""
LOOK = 0.1
TAIL = 600
OPTIONS = ("engine", "log_level")
UNHEARD = frozenset(
    {
        *("response_format", "json_schema", "grammar", "tool_choice", "presence_penalty", "frequency_penalty"),
        *("repeat_penalty", "repeat_last_n", "typical_p", "top_n_sigma", "min_keep", "dynatemp_range", "mirostat"),
        *("dry_multiplier", "adaptive_target", "samplers", "ignore_eos", "n_probs", "n_predict", "n_keep"),
        *("t_max_predict_ms", "post_sampling_probs"),
    }
)
"""What `APIHandler.do_POST` does not read of a body."""
NEEDED = ("config.json", "tokenizer_config.json")


class MlxMissing(InputError):
    """Facts: none."""

    template = "The engine mlx is not installed here, or this is no Mac with Apple silicon."
    hint = "On such a Mac: pip install 'penjing[mlx]'. Elsewhere leave out: --engine mlx"
    code = "extra_missing"


class Mlx(Known):
    """The checkpoint folder `model`, served under `name`. `command` is what is started, mlx-lm's server where it is
    None, with the server's own options behind it."""

    def __init__(
        self,
        model: Path,
        name: str,
        options: EngineOptions | None = None,
        *,
        command: Sequence[str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(name)
        self.model, self.options = model, options or EngineOptions()
        self._command, self._patience = command, patience
        self._child: asyncio.subprocess.Process | None = None
        self._stopping = False

    def __repr__(self) -> str:
        return f"Mlx({str(self.model)!r}, {self._name!r})"

    @property
    def log(self) -> Path:
        """The file its own words go to."""
        return home() / "logs" / f"{self._name}.mlx.log"

    async def start(self) -> None:
        """Load, and answer once, so that nobody waits for its compiler. Raises MlxMissing, ModelUnsupported,
        SettingError, EngineStartFailed."""
        if self._child is not None:
            return
        command = self._command or installed()
        self._require_fit()
        port = free_port()
        self._stopping, self._progress = False, Progress(0.05, "loading")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log.open("wb") as log:
                self._child = await asyncio.create_subprocess_exec(
                    *command,
                    *("--model", str(self.model), "--host", "127.0.0.1", "--port", str(port)),
                    *("--log-level", self.options.log_level.upper()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            address = Address(f"http://127.0.0.1:{port}")
            await self._answering(address.url)
        except OSError as error:
            await self.stop()
            raise EngineStartFailed(model=self._name, detail=str(error)) from error
        except BaseException:
            await self.stop()
            raise
        self._address, self._capabilities = (
            address,
            Capabilities(
                MODEL,
                context=trained_context(self.model),
                slots=0,
                hears_leaving=False,
                unheard=UNHEARD,
                metadata={"engine": "mlx"},
            ),
        )
        self._progress = Progress(1.0, "ready")

    def _require_fit(self) -> None:
        """Raises ModelUnsupported for what is no checkpoint folder, SettingError for options of other engines."""
        missing = [name for name in NEEDED if not (self.model / name).is_file()]
        if missing:
            detail = f"MLX reads checkpoint folders, and {missing[0]} is not in this"
            raise ModelUnsupported(path=str(self.model), detail=detail, nearest="safetensors, config.json, tokenizer")
        for each in dataclasses.fields(self.options):
            value = getattr(self.options, each.name)
            if each.name not in OPTIONS and value != each.default:
                raise SettingError(
                    name=each.name, value=value, wanted="for the engine mlx", source="the engine options"
                )

    async def _answering(self, url: str) -> None:
        """Return when a first word was said. Raises EngineStartFailed when it ended, or took too long."""
        import aiohttp

        until = time.monotonic() + self._patience
        patience = aiohttp.ClientTimeout(total=self._patience)
        async with aiohttp.ClientSession(url, timeout=patience) as client:
            while not await self._healthy(client):
                self._require_running()
                if time.monotonic() > until:
                    raise EngineStartFailed(model=self._name, detail=f"no answer in {self._patience:.0f} s")
                await asyncio.sleep(LOOK)
            self._progress = Progress(0.5, "warming")
            body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
            try:
                async with client.post("/v1/chat/completions", json=body) as answer:
                    if answer.status != 200:
                        detail = (await answer.text())[-TAIL:]
                        raise EngineStartFailed(model=self._name, detail=detail)
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                self._require_running()
                raise EngineStartFailed(model=self._name, detail=str(error) or "no answer") from error

    def _require_running(self) -> None:
        if self._child is not None and self._child.returncode is not None:
            detail = f"{ending(self._child.returncode)}. {self.tail()}"
            raise EngineStartFailed(model=self._name, detail=detail.strip())

    def tail(self) -> str:
        """The last words of its log."""
        with suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return " ".join(lines[-5:])[-TAIL:]
        return ""

    async def ready(self) -> bool:
        """Whether /health says so."""
        import aiohttp

        if self._capabilities is None or self._address is None:
            return False
        try:
            async with aiohttp.ClientSession(self._address.url, timeout=aiohttp.ClientTimeout(total=5)) as client:
                return await self._healthy(client)
        except OSError:
            return False

    @staticmethod
    async def _healthy(client: aiohttp.ClientSession) -> bool:
        import aiohttp

        try:
            async with client.get("/health") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return False

    async def ended(self) -> str:
        """Wait until its server ends by itself; never returns after `stop`."""
        child = self._child
        if child is not None:
            status = await child.wait()
            if not self._stopping:
                return ending(status)
        return await never()

    async def stop(self) -> None:
        """SIGTERM, after GRACE seconds SIGKILL."""
        self._stopping = True
        child, self._child = self._child, None
        self._address = self._capabilities = None
        self._progress = Progress(0.0, "stopped")
        if child is not None:
            await end(child, GRACE)


def present() -> bool:
    """Whether it can be used here. Nothing is imported."""
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    return apple and find_spec("mlx_lm") is not None


def installed() -> tuple[str, ...]:
    """What starts its server. Raises MlxMissing."""
    if not present():
        raise MlxMissing
    return COMMAND


def trained_context(folder: Path) -> int:
    """Tokens the checkpoint was trained for; 0 where it does not say."""
    try:
        told: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    found = (told.get("text_config") or told).get("max_position_embeddings", 0)
    return found if isinstance(found, int) else 0


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
