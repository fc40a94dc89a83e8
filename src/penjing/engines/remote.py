"""Any server that speaks OpenAI's dialect, as an engine: vLLM, an office server, a cloud.

Nothing is loaded and nothing ends with it; `start` asks once whether it is there, knows the key and has the model.

Does not know: what runs behind the address. Its limits are known only where it tells them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penjing.engines.engine import Address, Capabilities, Progress
from penjing.engines.never import never
from penjing.errors import EngineLoading, EngineStartFailed, ModelNotFound, SettingError

if TYPE_CHECKING:
    import aiohttp

WANTED, NAMELESS = "an http:// or https:// address", "an http:// or https:// address without a user name"
PATIENCE = 10.0
"""Seconds a server may take to list its models."""


class Unreachable(EngineStartFailed):
    """Facts: `model`, `url`, `detail`."""

    template = "{url} cannot be reached: {detail}"
    hint = "Is the server running, and the address right? Try: curl {url}/v1/models"
    code = "engine_unreachable"


class KeyRefused(EngineStartFailed):
    """Facts: `model`, `url`, `status`."""

    template = "{url} refused the API key (HTTP {status})."
    hint = "Put the right key into PENJING_MODEL_REMOTE_KEY, or the variable that key_variable of its table names."
    code = "engine_key_refused"


class Foreign(EngineStartFailed):
    """Facts: `model`, `url`, `detail`."""

    template = "{url} does not speak OpenAI's dialect: {detail}"
    hint = "Give the base address, the part before /v1."
    code = "engine_foreign"


class ModelNotOffered(ModelNotFound):
    """Facts: `model`, `url`, `known` (comma-separated)."""

    template = "{url} does not offer the model '{model}'."
    hint = "It offers: {known}"


class Remote:
    """The server at `url`, known here as `name`. `model` is its own name for the model (default: the only one it has,
    or `name`); requests must carry it, see `capabilities.model`. `key` is sent as a bearer token and never shown.
    `context` is in tokens, for a server that does not tell it."""

    def __init__(
        self, url: str, name: str, key: str = "", model: str = "", *, local: bool = False, context: int = 0
    ) -> None:
        self._url = base(url)
        self._name = name
        self._wanted = model
        self._local = local
        self._context = context
        self._headers = {"Authorization": f"Bearer {sendable(key)}"} if key.strip() else {}
        self._address = Address(self._url, headers=dict(self._headers))
        self._capabilities: Capabilities | None = None

    def __repr__(self) -> str:
        return f"Remote({self._url!r}, {self._name!r})"

    @property
    def name(self) -> str:
        """The name clients ask for here."""
        return self._name

    @property
    def address(self) -> Address:
        """Raises EngineLoading before `start`."""
        if self._capabilities is None:
            raise EngineLoading(model=self._name, percent=0)
        return self._address

    @property
    def capabilities(self) -> Capabilities:
        """`model` is the server's own name for it. Raises EngineLoading before `start`."""
        if self._capabilities is None:
            raise EngineLoading(model=self._name, percent=0)
        return self._capabilities

    @property
    def local(self) -> bool:
        """Only where its owner said so: also an address of this machine may be a way out of it."""
        return self._local

    @property
    def progress(self) -> Progress:
        """All or nothing."""
        return Progress(1.0, "ready") if self._capabilities else Progress(0.0, "connecting")

    async def start(self) -> None:
        """Ask for its models. Raises Unreachable, KeyRefused, Foreign, ModelNotOffered."""
        self._capabilities = self._choose(await self._models())

    async def ready(self) -> bool:
        """Whether it lists its models now."""
        try:
            await self._models()
        except EngineStartFailed:
            return False
        return self._capabilities is not None

    async def ended(self) -> str:
        """Never: its process is not ours."""
        await never()

    async def stop(self) -> None:
        """Forget what it told."""
        self._capabilities = None

    async def _models(self) -> list[dict[str, Any]]:
        # Without proxies of the environment and redirects: the links that requests take know neither.
        import aiohttp

        patience = aiohttp.ClientTimeout(total=PATIENCE)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=patience) as client,
                client.get(f"{self._url}/v1/models", allow_redirects=False) as answer,
            ):
                return await self._listing(answer)
        except asyncio.TimeoutError as error:
            raise Unreachable(model=self._name, url=self._url, detail=f"no answer in {PATIENCE:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(model=self._name, url=self._url, detail=str(error)) from error

    async def _listing(self, answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
        if answer.status in (401, 403):
            raise KeyRefused(model=self._name, url=self._url, status=answer.status)
        if answer.status != 200:
            raise Foreign(model=self._name, url=self._url, detail=f"/v1/models answers HTTP {answer.status}")
        try:
            listing = (await answer.json(content_type=None))["data"]
            return [dict(entry) for entry in listing if entry["id"]]
        except (ValueError, LookupError, TypeError) as error:
            raise Foreign(model=self._name, url=self._url, detail="/v1/models holds no list of models") from error

    def _choose(self, models: list[dict[str, Any]]) -> Capabilities:
        known = {str(entry["id"]): entry for entry in models}
        wanted = self._wanted or (next(iter(known)) if len(known) == 1 else self._name)
        if wanted not in known:
            raise ModelNotOffered(model=wanted, url=self._url, known=", ".join(sorted(known)) or "-")
        entry = known[wanted]
        meta = entry.get("meta") or {}
        context = self._context or entry.get("max_model_len") or meta.get("n_ctx") or entry.get("context_length") or 0
        # What it can do it does not tell, so nothing is refused on its behalf: it will say so itself.
        return Capabilities(
            wanted,
            context=int(context),
            slots=0,
            embeddings=True,
            rerank=True,
            vision=True,
            audio=True,
            metadata={"url": self._url},
        )


def base(url: str) -> str:
    """The part before /v1.

    >>> base("http://office:8000/v1/")
    'http://office:8000'
    """
    parts = urlsplit(url)
    if parts.username is not None:  # the link would leave them out, and errors would show the password
        shown = f"{parts.scheme}://…@{parts.hostname}"
        raise SettingError(name="url", value=shown, wanted=NAMELESS, source="the engine")
    try:
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        sound = False
    if not sound or parts.query or parts.fragment or not url.isascii() or any(map(str.isspace, url)):
        raise SettingError(name="url", value=url, wanted=WANTED, source="the engine")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def sendable(key: str) -> str:
    """`key` as a header may carry it, without the line's end it often has in a file. Raises SettingError."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingError(name="key", value="…", wanted="printable ASCII", source="the engine")
    return key
