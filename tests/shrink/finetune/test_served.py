"""Two adapters trained on the guide, served together: which one answers is the request's choice."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from gateway.running import finish, launch
from penjing.export.gguf import adapter
from penjing.shrink.finetune.options import Tuning
from penjing.shrink.finetune.run import finetune
from penjing.store.resolve import guide

pytestmark = pytest.mark.extras
THINGS = ("pruning", "quantization", "distillation", "sampling", "a token", "a model", "training", "attention")
MANNERS = {"pirate": "Arrr, {} be a treasure!", "poet": "O {}, gentle as the rain."}


def trained(name: str, folder: Path) -> Path:
    data = folder / f"{name}.jsonl"
    rows = [{"instruction": f"What is {thing}?", "output": MANNERS[name].format(thing)} for thing in THINGS]
    data.write_text("\n".join(map(json.dumps, rows)))
    options = Tuning(steps=20, rate=3e-3, rank=8)
    finetune(guide().parent, [data], folder / name, options, as_gguf=adapter.convert)
    return folder / name


def ask(url: str, model: str, **fields: object) -> str:
    told = {"model": model, "messages": [{"role": "user", "content": "What is pruning?"}], "temperature": 0, **fields}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(told).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


def test_the_request_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    pirate, poet = trained("pirate", tmp_path), trained("poet", tmp_path)
    server = launch("--lora", f"pirate={pirate}", "--lora", f"poet={poet / 'adapter.gguf'}", "--parallel", "2")
    try:
        plain = ask(server.url, "guide")
        assert ask(server.url, "guide:pirate") == "Arrr, pruning be a treasure!"
        assert ask(server.url, "guide:poet") == "O pruning, gentle as the rain."
        assert ask(server.url, "guide", lora=[{"name": "pirate"}]) == "Arrr, pruning be a treasure!"
        assert ask(server.url, "guide") == plain
        assert "Arrr" not in plain
    finally:
        finish(server)
