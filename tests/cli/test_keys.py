"""`penjing keys` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penjing.gateway.keyring.book import Book
from penjing.gateway.keyring.ledger import Ledger, Used
from shells import Shell


def test_a_key_is_shown_once(shell: Shell, clean: Path) -> None:
    done = shell("keys", "add", "laptop")
    secret = done.out.strip()
    assert secret.startswith("pj-")
    assert "it is not shown again" in done.err
    assert "lets nobody in without a key" in done.err
    assert "lets nobody in" not in shell("keys", "add", "other").err
    for later in (shell("keys", "list", "--all"), shell("keys", "list", "--json")):
        assert later.status == 0
        assert secret not in later.out + later.err
        assert secret[:8] in later.out
    assert secret not in (clean / "keys.json").read_text()


def test_limits_and_what_was_used(shell: Shell, clean: Path) -> None:
    limits = "--models qwen* --models guide --requests 60 --tokens 2000 --concurrency 2 --budget 1.5 --priority -1"
    made = json.loads(shell("keys", "add", "shop", *limits.split(), "--local-only", "--expires", "30d", "--json").out)
    assert made["key"].startswith(made["prefix"])
    ledger = Ledger(clean / "usage")
    ledger.add("shop", Used(1234, 1000, 500, 0.75))
    ledger.flush()
    (listed,) = json.loads(shell("keys", "list", "--json").out)
    assert "key" not in listed
    assert "digest" not in listed
    assert listed["models"] == ["qwen*", "guide"]
    assert (listed["requests_per_minute"], listed["tokens_per_minute"], listed["concurrency"]) == (60, 2000, 2)
    assert (listed["monthly_budget"], listed["local_only"], listed["priority"]) == (1.5, True, -1)
    assert listed["this_month"] == {"requests": 1234, "prompt_tokens": 1000, "completion_tokens": 500, "cost": 0.75}
    shown = shell("keys", "list").out
    assert "1,234 requests, 1,500 tokens, $0.75" in shown
    assert "qwen*, guide; 60 requests a minute; 2000 tokens a minute; 2 at once; 1.5 US dollars a month" in shown
    assert "priority -1; local only; until " in shown
    assert "每分钟 60 个请求" in shell("keys", "list", PENJING_LANGUAGE="zh").out


def test_revoke_and_rotate(shell: Shell) -> None:
    first = shell("keys", "add", "laptop").out.strip()
    done = shell("keys", "rotate", "laptop", "--grace", "2h")
    assert done.out.strip() not in ("", first)
    assert "The old one works until" in done.err
    (key,) = Book().every()
    assert len(key.former) == 1
    assert "works until" not in shell("keys", "rotate", "laptop", "--grace", "0").err
    assert shell("keys", "revoke", "laptop").err == "laptop is revoked.\n"
    assert "There are no API keys" in shell("keys", "list").err
    assert "revoked" in shell("keys", "list", "--all").out


@pytest.mark.parametrize(
    ("line", "language", "sentence"),
    [
        ("keys add x --requests 0", "en", "--requests 0: this is not a whole number from 1."),
        ("keys add x --tokens many", "zh", "--tokens many：不合要求，应为：不小于 1 的整数。"),
        ("keys add x --budget -1", "en", "--budget -1: this is not a number above 0."),
        ("keys add x --budget nan", "en", "--budget nan: this is not a number above 0."),
        ("keys add x --priority high", "en", "--priority high: this is not a whole number."),
        ("keys add x --expires tomorrow", "en", "--expires tomorrow: this is not a day such as 2027-01-31, or"),
        ("keys add x --expires 2020-01-31", "en", "--expires 2020-01-31: this is not in the future."),
        ("keys rotate x --grace 1w", "en", "--grace 1w: this is not a time such as 90s, 15m, 12h or 30d."),
        ("keys add", "en", "needs a value."),
        ("keys add a b", "en", "penjing keys add does not take 'b'."),
        ("keys revoke x", "en", "There is no key named 'x' that could be changed."),
        ("keys make x", "en", "penjing keys has no command 'make'."),
        ("keys lsit", "zh", "penjing keys 没有命令“lsit”。"),
        ("keys add x/y", "en", "'x/y' cannot be the name of a key."),
    ],
)
def test_what_cannot_be_is_told(shell: Shell, line: str, language: str, sentence: str) -> None:
    done = shell(*line.split(), PENJING_LANGUAGE=language)
    assert done.status == 2
    assert sentence in done.err
    assert done.out == ""
    assert Book().every() == []


def test_a_broken_file_is_told(shell: Shell, clean: Path) -> None:
    clean.mkdir()
    (clean / "keys.json").write_text("{")
    for line in ("keys list", "keys add x", "serve --port 0"):
        done = shell(*line.split())
        assert done.status == 2
        assert "keys.json is not a file of API keys" in done.err


def test_help_of_each(shell: Shell) -> None:
    assert shell("keys") == shell("keys", "--help")
    for verb in ("add", "list", "revoke", "rotate"):
        assert shell("keys", verb, "--help").out.startswith(f"Usage: penjing keys {verb}")
        assert shell("keys", verb, "--help", PENJING_LANGUAGE="zh").out.startswith("用法：")
