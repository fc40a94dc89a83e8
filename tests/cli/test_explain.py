from __future__ import annotations

import json
from pathlib import Path

import pytest

from shells import Shell


@pytest.mark.parametrize("verb", [("explain",), ("serve", "--explain")])
def test_each_choice_has_a_reason(shell: Shell, verb: tuple[str, ...]) -> None:
    found = json.loads(shell(*verb, "--json", "--threads", "1", "--max-context", "512").out)
    if verb[0] == "serve":
        (found,) = found["engines"]
    choices = {choice["name"]: choice for choice in found["choices"]}
    assert choices["threads"] | {"why": ""} == {"name": "threads", "value": 1, "why": "", "overridden": True}
    assert choices["batch"]["overridden"] is False
    assert all(choice["why"] for choice in choices.values())
    assert found["memory"]["total"] == sum(found["memory"][part] for part in ("weights", "kv", "compute", "runtime"))
    assert found["model"] == "guide"


def test_for_people_in_their_language(shell: Shell) -> None:
    english, chinese = shell("explain"), shell("explain", PENJING_LANGUAGE="zh")
    assert "threads" in english.out
    assert "Memory: about" in english.out
    assert "内存：约" in chinese.out
    reasons = [line for line in chinese.out.splitlines()[1:] if not any("\u4e00" <= sign <= "\u9fff" for sign in line)]
    assert reasons == []


def test_settings_count(shell: Shell) -> None:
    Path("penjing.toml").write_text("[engine]\nthreads = 1\n")
    found = json.loads(shell("explain", "--json", PENJING_ENGINE_KV_TYPE="q8_0").out)
    assert {choice["name"] for choice in found["choices"] if choice["overridden"]} == {"threads", "kv_type"}


def test_a_server_cannot_be_explained(shell: Shell) -> None:
    for verb in (("explain",), ("serve", "--explain"), ("probe",)):
        done = shell(*verb, "http://office:8000")
        assert done.status == 2
        assert "http://office:8000 is a server; what can be looked into is a model on this machine." in done.err
