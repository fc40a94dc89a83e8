"""The verb `serve`: one server that speaks OpenAI's API, for one model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.model import Opened, model_options, tell_unheeded
from penjing.cli.usage import UsageFault
from penjing.cli.verb import option, verb
from penjing.errors import InputError, SettingError

if TYPE_CHECKING:
    from penjing.engines.engine import Engine
    from penjing.gateway.serve import Said
    from penjing.operate.supervise import Change

EXAMPLES = (
    ("penjing serve", "Serve the built-in model on http://127.0.0.1:8000/v1."),
    ("penjing serve ./model.gguf --parallel 4", "A model of your own, four conversations at once."),
    ("penjing serve ./checkpoint --bits 4", "A checkpoint folder, quantized to 4 bits."),
    ("penjing serve --host 0.0.0.0 --api-key KEY", "For the whole network, with a key."),
    ("penjing serve --explain", "What it would run with, and why."),
)


class EmptyKey(InputError):
    """An empty key would let everybody in who sends an empty one. Facts: none."""

    template = "An API key is empty."
    hint = "See that the variable it comes from is set, or leave the key out."
    code = "empty_key"


@dataclass(frozen=True)
class ServeSettings:
    """Section `[serve]`. `cors` are origins whose pages may call from a browser (`*` for all)."""

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(key.strip() for key in self.api_keys):
            raise EmptyKey
        if not 0 <= self.port <= 65535:
            raise SettingError(name="port", value=self.port, wanted="a port (0 ... 65535)", source="")


@verb("serve", help="Serve a model to programs that speak OpenAI's API.", examples=EXAMPLES)
@model_options
@option(
    "--embeddings", is_flag=True, default=None, help="Answer /v1/embeddings: a model that turns texts into vectors."
)
@option("--host", metavar="ADDRESS", help="Where to listen; 127.0.0.1 where not given, 0.0.0.0 for the whole network.")
@option("--port", metavar="NUMBER", help="Which port; 8000 where not given, 0 for any that is free.")
@option(
    "--api-key",
    "api_keys",
    metavar="KEY",
    multiple=True,
    envvar="PENJING_API_KEY",
    show_envvar=True,
    help="A key that requests must carry; may be given again.",
)
@option("--cors-origin", "cors", metavar="ORIGIN", multiple=True, help="Let pages of this origin call; '*' for all.")
@option("--explain", is_flag=True, help="Print each choice with its reason, and exit.")
@option("--json", "as_json", is_flag=True, help="With --explain: print JSON.")
def serve(**given: Any) -> None:
    """The door."""
    from penjing.cli.model import SECTIONS, chosen, engine_options, open_engine
    from penjing.settings import load, require_sections

    require_sections(SECTIONS)
    if given["explain"]:
        from penjing.cli.explain import show

        show(chosen(given), engine_options(given), as_json=given["as_json"])
        return
    if given["as_json"]:
        raise UsageFault(detail="--json is for --explain.", path="penjing serve")
    settings = load(ServeSettings, "serve", {name: given[name] for name in ("host", "port", "api_keys", "cors")}).value
    from penjing.gateway.serve import bind

    bind(settings.host, settings.port).close()  # a port that is taken is told before a model is converted
    _run(open_engine(chosen(given), engine_options(given), hear=tell_change), settings)


def _run(opened: Opened, settings: ServeSettings) -> None:
    import logging

    from penjing.gateway.app import Gateway
    from penjing.gateway.options import GatewayOptions
    from penjing.gateway.serve import run

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = GatewayOptions(api_keys=settings.api_keys, cors=settings.cors)
    name = opened.engine.name
    run(Gateway({name: opened.engine}, options), settings.host, settings.port, announce=partial(tell, opened.engine))


def tell(engine: Engine, said: Said) -> None:
    """What the server does, for the person who started it."""
    if said.open:
        talk.warn("Anybody who can reach this machine can use this server: it has no --api-key.")
    if said.event == "listening":
        talk.note("Listening on {url}/v1; {model} is loading.", url=said.url, model=engine.name)
    elif said.event == "ready":
        tell_unheeded(engine)
        talk.note(
            "Ready. Base URL for OpenAI's SDK: {url}/v1, model: {model}. Ctrl-C stops.", url=said.url, model=engine.name
        )
    elif said.event == "draining" and not said.left:
        talk.note("Stopping.")
    elif said.event == "draining":
        talk.note("Stopping: {left} answers are being finished; Ctrl-C again cuts them.", left=said.left)
    elif said.event == "cut":
        talk.warn("{left} answers were cut.", left=said.left)


def tell_change(change: Change) -> None:
    """What the supervisor did."""
    if change.state == "restarting":
        talk.warn("The engine of {model} ended ({how}); it is being restarted.", model=change.name, how=change.detail)
    elif change.state == "ready" and change.restarts:
        talk.note("The engine of {model} is back.", model=change.name)
    elif change.state == "failed" and change.restarts:
        talk.warn(
            "The engine of {model} ended too often and is not restarted: {how}", model=change.name, how=change.detail
        )
