"""The catalogue's entries, and that short names lead to places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import modelscope_server
from model_hub import Repository, serving
from penjing.sources import catalogue
from penjing.sources.catalogue import Entry, NoSuchShortName, entries, find
from penjing.sources.client import Patience
from penjing.sources.faults import LoginNeeded
from penjing.sources.names import parse, remote
from penjing.sources.source import listing

SEEDS = ("llama2", "alpaca", "chatglm", "glm4", "autoglm-phone", "minicpm-v", "phi3", "gemma2", "tinyllama", "qwen")


@pytest.mark.parametrize("entry", entries().values(), ids=entries().keys())
def test_an_entry_is_sound(entry: Entry) -> None:
    assert parse(entry.name).scheme == "catalogue"
    assert entry.title
    assert entry.sources
    assert all(remote(place) and parse(place).scheme in ("hf", "ms") for place in entry.sources)
    assert all(size > 10_000_000 for size in entry.sizes.values())
    assert entry.evidence
    assert entry.size < entry.memory or not entry.size
    assert all(re.fullmatch("[a-z]{2}", code) for code in entry.languages)
    assert entry.total == 0 or entry.total > len(entry.languages)
    assert all(address.startswith("https://") for address in entry.evidence)


def test_names_are_given_once() -> None:
    names = [name for entry in entries().values() for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_of_the_field_are_in_it(seed: str) -> None:
    assert any(name.startswith(seed) for name in entries())


def test_a_name_near_to_others() -> None:
    assert find("QWEN3:0.6B").name == "qwen3:0.6b"
    with pytest.raises(NoSuchShortName, match=r"qwen3:0\.6b"):
        find("qwen3:99b")
    with pytest.raises(NoSuchShortName):
        listing("nothing-like-it")


def test_the_second_place_is_asked_where_the_first_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Patience, "pause", lambda self, failures: 0.0)
    monkeypatch.setattr(
        catalogue, "entries", lambda: {"m:1b": Entry("m:1b", "M", ("hf:o/r", "ms:o/r:Q8_0"), aliases=("m",))}
    )
    with modelscope_server.serving({"m-Q8_0.gguf": b"x"}) as there:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", there.url)
        monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path))
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        found = listing("m")
        assert (found.reference.scheme, found.reference.pick) == ("ms", "Q8_0")
        with serving({}) as hub:  # it was removed there
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            assert listing("m:1b").reference.scheme == "ms"
        with serving({"o/r": Repository({"m-Q8_0.gguf": b"x"})}) as hub:
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            assert listing("m:1b").reference.scheme == "hf"
            assert listing("m:1b:Q4_0").reference.pick == "Q4_0"


def test_a_place_that_does_not_answer_soon_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalogue, "HEAD_START", 0.1)
    monkeypatch.setattr(catalogue, "entries", lambda: {"m:1b": Entry("m:1b", "M", ("hf:o/r", "ms:o/r"))})
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path))
    with modelscope_server.serving({"m-Q8_0.gguf": b"x"}) as there, serving({}) as hub:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", there.url)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.faults.statuses = [("hub", 503, {"Retry-After": "100"})]
        assert listing("m:1b").reference.scheme == "ms"


def test_what_the_first_place_said_is_said_where_none_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalogue, "entries", lambda: {"m:1b": Entry("m:1b", "M", ("hf:o/r", "ms:p/q"))})
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path))
    with modelscope_server.serving({}) as there, serving({}) as hub:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", there.url)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(LoginNeeded, match="o/r"):
            listing("m:1b")
