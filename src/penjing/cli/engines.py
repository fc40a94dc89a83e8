"""The engines of one server: those that were named, else those of the settings.

    penjing serve A B            ->  A and B: each a table [engines.A] of the settings, else a model or a URL
    penjing serve                ->  every [engines.NAME]; where there is none, [model]
    [engines.NAME] model, bits   ->  a model on this machine, with the fields of [engine] beside them
    [engines.NAME] url, ...      ->  somebody else's server

Does not know: what is done with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from penjing.cli import fetching, local
from penjing.cli.local import Care
from penjing.cli.model import CARE, CHOSEN, ENGINE, LOCAL, REMOTE, SERVER, Chosen, Misplaced, chosen, is_url
from penjing.engines.adapted import Adapted
from penjing.engines.llamacpp import EngineOptions
from penjing.engines.remote import Remote
from penjing.errors import InputError
from penjing.gateway.cost import Prices
from penjing.gateway.silence import AWAY, HERE, Silence
from penjing.plan.prices import Price, listed
from penjing.settings import DEFAULT, Loaded, entries, load
from penjing.store.resolve import Found, find

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.engines.engine import Engine
    from penjing.operate.supervise import Change
    from penjing.progress import Progress, Report

SECTION = "engines"
ELSEWHERE = ("key_variable", "remote_model", "local")
"""Fields of a table that mean something for a URL only."""


class NoModelInTable(InputError):
    """Facts: `name`."""

    template = "[engines.{name}] says neither which model nor which url it is."
    hint = 'For a model on this machine: model = "PATH"; for a server: url = "https://..."'
    code = "engine_unclear"


class TwoModelsInTable(InputError):
    """Facts: `name`."""

    template = "[engines.{name}] has both a model and a url."
    hint = "Make two tables of it: each is an engine of its own."
    code = "engine_unclear"


class KeyVariableEmpty(InputError):
    """Facts: `name`, `variable`."""

    template = "[engines.{name}] takes its key from {variable}, which is empty."
    hint = "export {variable}=KEY"
    code = "empty_key"


class NamedTwice(InputError):
    """Facts: `name`."""

    template = "Two engines of this server would be called '{name}'."
    hint = "Give each a name of its own in the settings: [engines.NAME] model = ..."
    code = "name_taken"


@dataclass(frozen=True)
class Entry:
    """Table `[engines.NAME]`, without the fields of `[engine]` that may stand beside them. `key_variable` is the
    variable in the environment that holds a server's key. `local`: a server of this house, where private requests may
    go. `price`: US dollars for a million tokens (`input`, `output`, `cached`). `first_seconds`, `between_seconds`: how
    long it may say nothing before the first byte of an answer, and between two (see `gateway/silence.py`)."""

    model: str = ""
    url: str = ""
    bits: int | None = None
    key_variable: str = ""
    remote_model: str = ""
    local: bool = False
    tags: tuple[str, ...] = ()
    price: Price | None = None
    first_seconds: Annotated[float, Meta(ge=0)] | None = None
    between_seconds: Annotated[float, Meta(ge=0)] | None = None

    def silence(self, *, local: bool) -> Silence:
        """How long it may say nothing, as told, else as usual for engines here or elsewhere."""
        usual = HERE if local else AWAY
        return Silence(
            usual.first if self.first_seconds is None else self.first_seconds,
            usual.between if self.between_seconds is None else self.between_seconds,
        )


MEANINGS = {
    "model": "A name, a .gguf file or a checkpoint folder.",
    "url": "The address of a server that speaks OpenAI's dialect.",
    "key_variable": "The environment variable that holds the server's key.",
    "remote_model": "Which of the server's models.",
    "local": "The server belongs to this house: what is local only may go there.",
    "tags": "Words that routing rules may name it by: tag:WORD.",
    "first_seconds": "How long it may say nothing before an answer; 0 for ever.",
    "between_seconds": "How long it may say nothing within an answer; 0 for ever.",
    "price": "US dollars for a million tokens: a table with input, output, cached.",
}
"""What the fields of a table mean, as templates."""


@dataclass(frozen=True)
class Served:
    """One engine, not started, and what is said of it. `url` is a server's; `found`, `options`, `care` and `bits`
    belong to a model on this machine."""

    engine: Engine
    url: str = ""
    tags: tuple[str, ...] = ()
    price: Price | None = None
    silence: Silence | None = None
    found: Found | None = None
    options: EngineOptions = field(default_factory=EngineOptions)
    care: Care = field(default_factory=Care)
    bits: int | None = None

    @property
    def name(self) -> str:
        """What clients ask for."""
        return self.engine.name


Hear = Callable[["Change"], None]


@dataclass(frozen=True)
class Common:
    """What counts for every engine of this machine: how much care is taken, who hears when one ends."""

    care: Care
    hear: Hear | None


def served(words: Iterable[str], given: Mapping[str, Any], hear: Hear | None = None) -> dict[str, Served]:
    """The engines by name. `given` are the options of the command line; they count for every model of this machine.
    Raises Misplaced, NamedTwice, ModelError, SettingError and the errors above."""
    known = entries(SECTION)
    names = tuple(words)
    base = load(EngineOptions, "engine", {name: given.get(name) for name in ENGINE})
    common = Common(local.care(given), hear)
    one = load(Chosen, "model") if not names else None
    if one is not None and known:
        names = (*((one.value.name,) if one.sources["name"] != DEFAULT else ()), *known)
    engines: dict[str, Served] = {}
    for word in names or ("",):
        new = _of_table(word, base, given, common) if word in known else _of_word(word, base.value, given, common)
        if new.name in engines:
            raise NamedTwice(name=new.name)
        engines[new.name] = new
    _require_use(given, engines.values())
    return engines


def with_adapters(engines: Mapping[str, Served]) -> dict[str, Served]:
    """And behind them each with each of its LoRA adapters that have a name, as `MODEL:NAME`. Raises NamedTwice."""
    found = dict(engines)
    for each in engines.values():
        for adapter in each.options.adapters if each.found is not None else ():
            if adapter.name:
                view = replace(each, engine=Adapted(each.engine, adapter.name), found=None)
                if view.name in found:
                    raise NamedTwice(name=view.name)
                found[view.name] = view
    return found


def prices(engines: Mapping[str, Served]) -> Prices:
    """What is known of their prices."""
    return Prices({name: each.price for name, each in engines.items() if each.price is not None})


def _of_word(word: str, options: EngineOptions, given: Mapping[str, Any], common: Common) -> Served:
    """A name, a path or a URL; "" for the one of the settings."""
    meant = CHOSEN if not word else REMOTE if is_url(word) else ("bits",)
    alone = chosen({"model": word or None, **{name: given.get(name) for name in meant}})
    if alone.remote:
        name = alone.remote_model or "remote"
        server = Remote(alone.name, name, alone.remote_key, alone.remote_model)
        return _server(server, Entry(url=alone.name, remote_model=alone.remote_model))
    found = fetching.found(alone.name, alone.bits, common.care)
    return replace(_here(found, "", options, Entry(), common), bits=alone.bits)


def _of_table(name: str, base: Loaded[EngineOptions], given: Mapping[str, Any], common: Common) -> Served:
    section = (SECTION, name)
    ours, theirs = ([each.name for each in fields(kind)] for kind in (Entry, EngineOptions))
    loaded = load(Entry, section, {"bits": given.get("bits")}, beside=theirs)
    own = load(EngineOptions, section, beside=ours)
    entry = loaded.value
    if entry.model and entry.url:
        raise TwoModelsInTable(name=name)
    if not (entry.model or entry.url):
        raise NoModelInTable(name=name)
    url = entry.url or (entry.model if is_url(entry.model) else "")
    asked = [each for each, source in own.sources.items() if source != DEFAULT]
    if url:
        useless = [each for each in asked if each != "max_context"]
        if loaded.sources["bits"] not in (DEFAULT, "--bits"):  # what was typed is for models of this machine
            useless.append("bits")
        _require_none(useless, own.sources | loaded.sources, url, SERVER)
        server = Remote(
            url, name, _key(name, entry), entry.remote_model, local=entry.local, context=own.value.max_context or 0
        )
        return _server(server, replace(entry, url=url))
    useless = [each for each in ELSEWHERE if loaded.sources[each] != DEFAULT]
    _require_none(useless, loaded.sources, entry.model, LOCAL)
    typed = {each for each, source in base.sources.items() if source.startswith(("--", "PENJING_"))}
    options = replace(base.value, **{each: getattr(own.value, each) for each in asked if each not in typed})
    chosen_bits = Chosen(entry.model, entry.bits).bits
    found = find(entry.model, bits=chosen_bits, allow=common.care.allow)
    return replace(_here(found, name, options, entry, common), bits=chosen_bits)


def _key(name: str, entry: Entry) -> str:
    if not entry.key_variable:
        return ""
    key = os.environ.get(entry.key_variable, "")
    if not key.strip():
        raise KeyVariableEmpty(name=name, variable=entry.key_variable)
    return key


def _server(engine: Remote, entry: Entry) -> Served:
    known = listed(entry.remote_model or engine.name) if entry.price is None and not engine.local else None
    price = known.price if known is not None else entry.price
    return Served(engine, entry.url, entry.tags, price, entry.silence(local=engine.local))


def _here(found: Found, name: str, options: EngineOptions, entry: Entry, common: Common) -> Served:
    """A model of this machine. Its signatures are looked at, and a checkpoint is converted, when the engine starts;
    /health tells how far that is."""

    def make(report: Report) -> Path:
        from penjing.cli.progress import shown

        with shown() as show:

            def both(progress: Progress) -> None:
                report(progress)
                show(progress)

            return found.make(both)

    engine = local.engine(found, name or found.name, options, common.care, make, common.hear, workload="many")
    return Served(engine, "", entry.tags, entry.price, entry.silence(local=True), found, options, common.care)


def _require_none(useless: Iterable[str], sources: Mapping[str, str], model: str, why: str) -> None:
    for each in useless:
        raise Misplaced(option=f"{each} ({sources.get(each, DEFAULT)})", model=model, detail=why)


def _require_use(given: Mapping[str, Any], engines: Iterable[Served]) -> None:
    """Raises Misplaced for an option that was typed and that no engine has a use for."""
    known = tuple(engines)
    here = [each for each in known if each.found is not None]
    for name, why in _idle(bool(here), len(here) < len(known)):
        if given.get(name) not in (None, ()):
            raise Misplaced(
                option="--" + name.replace("_", "-"), model=", ".join(each.name for each in known), detail=why
            )


def _idle(here: bool, elsewhere: bool) -> Iterator[tuple[str, str]]:
    if not here:  # a server embeds or not whatever is said here, so --embeddings is true or told by its first answer
        yield from ((name, SERVER) for name in ("bits", *ENGINE, *CARE) if name != "embeddings")
    if not elsewhere:
        yield from ((name, LOCAL) for name in REMOTE)
