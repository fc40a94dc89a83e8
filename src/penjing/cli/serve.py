"""The verb `serve`: one server for one model or several, on this machine and elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.model import engine_flags, tell_unheeded
from penjing.cli.usage import UsageFault
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, PenjingError, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penjing.cli.engines import Served
    from penjing.gateway.app import Gateway
    from penjing.gateway.options import GatewayOptions
    from penjing.gateway.serve import Said
    from penjing.operate.residency import ResidencyOptions
    from penjing.operate.succession.new import Heir
    from penjing.operate.supervise import Change

MEMORY = ("budget", "preload", "pin", "idle_unload")
EXAMPLES = (
    ("penjing serve", "Serve the built-in model on http://127.0.0.1:8000/v1."),
    ("penjing serve ./model.gguf --parallel 4", "A model of your own, four conversations at once."),
    ("penjing serve ./checkpoint --bits 4", "A checkpoint folder, quantized to 4 bits."),
    ("penjing serve guide ./model.gguf", "Several models; a request names one."),
    ("penjing serve guide --lora faq=./faq", "Also guide:faq, the same with an adapter of yours."),
    ("penjing serve a b c --memory 8GB --pin a", "More models than memory: who is asked is loaded."),
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
    """Section `[serve]`. `cors` are origins whose pages may call from a browser (`*` for all), `image_hosts` those that
    engines may fetch pictures from."""

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    image_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(key.strip() for key in self.api_keys):
            raise EmptyKey
        if not 0 <= self.port <= 65535:
            raise SettingError(name="port", value=self.port, wanted="a port (0 ... 65535)", source="")


@verb("serve", help="Serve a model to programs that speak OpenAI's API.", examples=EXAMPLES)
@argument("models", metavar="[MODEL|URL ...]", many=True)
@engine_flags
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
@option("--memory", "budget", metavar="SIZE", help="For all models together, as 8GB; what is free where not given.")
@option("--preload", metavar="NAME,...", help="Load these at the start, or none; those that fit where not given.")
@option("--pin", metavar="NAME,...", help="Never unload these.")
@option("--idle-unload", metavar="TIME", help="Unload a model that nobody asked for so long, as 10m.")
@option("--cors-origin", "cors", metavar="ORIGIN", multiple=True, help="Let pages of this origin call; '*' for all.")
@option("--explain", is_flag=True, help="Print each choice with its reason, and exit.")
@option("--json", "as_json", is_flag=True, help="With --explain: print JSON.")
def serve(**given: Any) -> None:
    """The door."""
    from penjing.cli.succession import taking

    with taking() as heir:
        _serve(given, heir)


def _serve(given: dict[str, Any], heir: Heir | None) -> None:
    from penjing.cli.engines import served
    from penjing.cli.model import require_known_sections
    from penjing.operate.residency import ResidencyOptions
    from penjing.settings import load

    require_known_sections()
    if given["as_json"] and not given["explain"]:
        raise UsageFault(detail="--json is for --explain.", path="penjing serve")
    engines = served(given["models"], given, hear=tell_change)
    policies = policy_options()
    if given["explain"]:
        from penjing.cli.explained import show

        show(engines, policies["route"], as_json=given["as_json"])
        return
    settings = load(ServeSettings, "serve", {name: given[name] for name in ("host", "port", "api_keys", "cors")}).value
    residency = load(ResidencyOptions, "memory", {name: given[name] for name in MEMORY}).value
    _run(engines, policies, settings, residency, heir)


def policy_options() -> dict[str, Any]:
    """The options of each policy, by its name, which is also its table in the settings. Raises UnknownOption,
    SettingError."""
    from penjing.gateway.policies.order import steps
    from penjing.settings import load

    return {step.name: load(step.options, step.name).value for step in steps()}


def _run(
    engines: Mapping[str, Served],
    policies: Mapping[str, object],
    settings: ServeSettings,
    memory: ResidencyOptions,
    heir: Heir | None,
) -> None:
    import logging

    from penjing.cli.engines import with_adapters
    from penjing.cli.following import following
    from penjing.cli.succession import policies_of, succession
    from penjing.gateway.app import Gateway
    from penjing.gateway.serve import run

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    policies = policies_of(heir, policies)
    everybody = with_adapters(engines)
    gateway = Gateway(
        {name: each.engine for name, each in everybody.items()}, gateway_options(everybody, policies, settings)
    )
    follow = following(gateway.house, engines, policies)
    work = () if follow is None else (heir.after(follow.run) if heir else follow.run,)
    successor = succession(_budget(gateway, memory, heir))
    try:
        run(
            gateway,
            settings.host,
            settings.port,
            announce=partial(tell, gateway, heir),
            reload=partial(_reload, gateway),
            beside=work,
            listener=heir.listener if heir else None,
            before=partial(heir.before, gateway.engines) if heir else None,
            relieved=successor,
        )
    finally:
        successor.ended()


def gateway_options(
    engines: Mapping[str, Served], policies: Mapping[str, object], settings: ServeSettings
) -> GatewayOptions:
    """What the gateway in front of `engines` is told."""
    from penjing.cli.engines import prices
    from penjing.cli.following import followed
    from penjing.gateway.options import GatewayOptions

    return GatewayOptions(
        api_keys=settings.api_keys,
        cors=settings.cors,
        image_hosts=settings.image_hosts,
        policies=policies,
        prices=prices(engines),
        tags={name: each.tags for name, each in engines.items()},
        silence={name: each.silence for name, each in engines.items() if each.silence is not None},
        released=tuple(followed(engines)),
    )


def _budget(gateway: Gateway, memory: ResidencyOptions, heir: Heir | None) -> int:
    """Have engines come and go within the memory that is wanted; bytes that were free at the beginning, 0 where nothing
    is wanted. A successor counts with what was free before its predecessor started."""
    from penjing.operate.residency import Residency, wanted
    from penjing.probe import machine

    if not wanted(memory, gateway.engines.values()):
        return 0
    free = (heir.free if heir else 0) or machine.read().memory_available
    Residency(gateway.house, memory, free)
    return free


def _reload(gateway: Gateway) -> None:
    """Read the settings again, for what can be changed while a server runs. What is wrong with them is told, and then
    nothing changes."""
    try:
        changed = gateway.reload(policy_options())
    except PenjingError as error:
        talk.warn("The settings were not read again: {detail}", detail=error.message())
    else:
        talk.note("Settings read again: {changed}", changed=", ".join(changed) or "-")


def tell(gateway: Gateway, heir: Heir | None, said: Said) -> None:
    """What the server does, for the person who started it, and for the server it takes over from."""
    if heir is not None and said.event == "ready":
        heir.ready()
    names = ", ".join(gateway.engines)
    if said.open:
        talk.warn("Anybody who can reach this machine can use this server: it has no --api-key.")
    if said.event == "listening":
        talk.note("Listening on {url}/v1; {model} is loading.", url=said.url, model=names)
    elif said.event == "ready":
        for name, error in gateway.house.failed.items():
            talk.warn("{model} could not be started: {detail}", model=name, detail=error.message())
        for engine in gateway.engines.values():
            tell_unheeded(engine)
        ready = ", ".join(name for name in gateway.engines if name not in gateway.house.failed)
        talk.note(
            "Ready. Base URL for OpenAI's SDK: {url}/v1, model: {model}. Ctrl-C stops.", url=said.url, model=ready
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
