"""Which engines a server gets, from words and settings; nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penjing.cli.engines import (
    KeyVariableEmpty,
    NamedTwice,
    NoModelInTable,
    Served,
    TwoModelsInTable,
    prices,
    served,
)
from penjing.cli.model import Misplaced
from penjing.engines.llamacpp import LlamaCpp
from penjing.engines.remote import Remote
from penjing.errors import ModelNotFound, UnknownOption
from penjing.gateway.silence import AWAY, HERE, Silence
from penjing.operate.supervise import Supervised
from penjing.plan.prices import Price

TABLES = """
[engine]
threads = 1
parallel = 3

[engines.small]
model = "guide"
parallel = 2
max-context = 512
tags = ["device", "fast"]

[engines.cloud]
url = "https://cloud.example/v1"
remote_model = "gpt-4o-mini-2024-07-18"
key_variable = "CLOUD_KEY"
max_context = 128000
first_seconds = 20

[engines."office.big"]
url = "http://office:8000"
local = true
price = { input = 1, output = 2.5 }
"""


@pytest.fixture(autouse=True)
def settings(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_KEY", "secret")
    Path("penjing.toml").write_text(TABLES)


def inner(each: Served) -> LlamaCpp:
    assert isinstance(each.engine, Supervised)
    assert isinstance(each.engine.engine, LlamaCpp)
    return each.engine.engine


def test_all_of_the_settings() -> None:
    engines = served((), {})
    assert list(engines) == ["small", "cloud", "office.big"]
    assert [each.engine.local for each in engines.values()] == [True, False, True]
    assert engines["cloud"].silence == Silence(20.0, AWAY.between)
    assert engines["small"].silence == HERE
    assert engines["small"].tags == ("device", "fast")
    options = inner(engines["small"]).options
    assert (options.threads, options.parallel, options.max_context) == (1, 2, 512)
    assert dict(prices(engines).known) == {
        "cloud": Price(input=0.15, output=0.6, cached=0.075),
        "office.big": Price(input=1.0, output=2.5),
    }


def test_the_one_of_the_model_table_comes_first() -> None:
    Path("penjing.toml").write_text(TABLES + '\n[model]\nname = "guide"\n')
    assert list(served((), {})) == ["guide", "small", "cloud", "office.big"]


def test_words_are_tables_models_and_urls() -> None:
    engines = served(("cloud", "guide", "http://127.0.0.1:9"), {"remote_model": "far", "bits": None})
    assert list(engines) == ["cloud", "guide", "far"]
    assert isinstance(engines["far"].engine, Remote)
    assert inner(engines["guide"]).options.parallel == 3


def test_the_command_line_is_stronger_than_a_table() -> None:
    options = inner(served((), {"parallel": "7"})["small"]).options
    assert (options.parallel, options.max_context) == (7, 512)


def test_bits_that_were_typed_are_for_the_models_here() -> None:
    engines = served((), {"bits": "16"})
    assert (engines["small"].found is not None, engines["cloud"].found) == (True, None)


def test_without_tables_there_is_the_built_in_model() -> None:
    Path("penjing.toml").write_text("")
    assert list(served((), {})) == ["guide"]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[engines.a]\n", NoModelInTable, "neither which model"),
        ('[engines.a]\nmodel = "guide"\nurl = "http://x"\n', TwoModelsInTable, "both"),
        ('[engines.a]\nurl = "http://x"\nkey_variable = "NOBODY_SET"\n', KeyVariableEmpty, "NOBODY_SET"),
        (
            '[engines.a]\nurl = "http://x"\nthreads = 2\n',
            Misplaced,
            r"threads \(penjing.toml:3\) does nothing for http://x",
        ),
        ('[engines.a]\nmodel = "guide"\nlocal = true\n', Misplaced, r"local \(penjing.toml:3\) does nothing for guide"),
        ('[engines.a]\nmodel = "./gone.gguf"\n', ModelNotFound, "gone.gguf"),
        ('[engines.a]\nmodel = "guide"\ncolour = "red"\n', UnknownOption, "colour"),
        ('[engines.guide]\nmodel = "guide"\n[model]\nname = "guide"\n', NamedTwice, "guide"),
    ],
)
def test_what_cannot_be(text: str, error: type[Exception], said: str) -> None:
    Path("penjing.toml").write_text(text)
    with pytest.raises(error, match=said):
        served((), {})


@pytest.mark.parametrize(
    ("words", "given", "option"),
    [
        (("http://x",), {"threads": "2"}, "--threads"),
        (("guide",), {"remote_key": "k"}, "--remote-key"),
        (("cloud",), {"bits": "4"}, "--bits"),
    ],
)
def test_an_option_that_no_engine_has_a_use_for(words: tuple[str, ...], given: dict[str, Any], option: str) -> None:
    with pytest.raises(Misplaced, match=option):
        served(words, given)


def test_two_of_one_name() -> None:
    with pytest.raises(NamedTwice):
        served(("guide", "guide"), {})
