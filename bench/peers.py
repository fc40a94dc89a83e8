"""The gateways that `bench/gateway.py` compares, each a process: penjing, LiteLLM's proxy and Portkey's gateway.

The peers are installed into environments of their own under build/gateway, at the versions named here, and run as
their own guides to performance say: one worker, logs off, retries off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from load import pinned, spent
from upstream import MODEL

BUILD = Path(__file__).resolve().parent.parent / "build" / "gateway"
LITELLM = "litellm[proxy]==1.104.3"
PORTKEY = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    # With newer ones every stream ends in status 500: the heads of answers it adds to cannot be changed there.
    "overrides": {"@hono/node-server": "1.12.2"},
}
KEY = "sk-bench"
PORTKEY_NAME = "@portkey-ai/gateway@1.15.2"
PATIENCE = 120.0
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass
class Gateway:
    """One that runs. `model` is what clients call the upstream's model there; `headers` go with each question."""

    name: str
    target: str
    process: psutil.Process | None = None
    model: str = MODEL
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def spent(self) -> float:
        """Processor seconds it took so far, its children's among them."""
        return sum(map(spent, self.tree()))

    @property
    def memory(self) -> float:
        """Resident megabytes, its children's among them."""
        return sum(each.memory_info().rss for each in self.tree()) / 1e6

    def tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)] if self.process is not None else []


Start = Callable[[int, int, Path, Iterable[int]], Gateway]
"""Upstream's port, own port, a folder for files, cores -> a gateway that is being started."""


def run(command: list[str], cores: Iterable[int], log: Path, **variables: str) -> psutil.Process:
    """Start `command` on `cores`; what it says goes to `log`."""
    with log.open("wb") as sink:
        started = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            preexec_fn=pinned(cores),
        )
    return psutil.Process(started.pid)


def penjing(upstream: int, port: int, folder: Path, cores: Iterable[int]) -> Gateway:
    """`penjing serve` with keys, metrics and the audit log on."""
    command = [sys.executable, "-m", "penjing", "serve", f"http://127.0.0.1:{upstream}", "--port", str(port)]
    command += ["--remote-model", MODEL, "--api-key", KEY]
    process = run(command, cores, folder / "penjing.log", PENJING_HOME=str(folder / "home"))
    return Gateway("penjing", f"tcp:{port}", process, MODEL, BEARER)


def litellm(upstream: int, port: int, folder: Path, cores: Iterable[int], callbacks: str = "") -> Gateway:
    """LiteLLM's proxy with a master key; `callbacks` as in its settings."""
    home = BUILD / "litellm"
    if not (home / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [str(home / "bin" / "pip"), "install", "-q", "--only-binary", ":all:", LITELLM, "prometheus-client"]
        subprocess.run(pip, check=True)
    settings = folder / "litellm.yaml"
    settings.write_text(
        f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n"
        f"      api_base: http://127.0.0.1:{upstream}/v1\n      api_key: none\n"
        f"litellm_settings:\n  callbacks: [{callbacks}]\n  num_retries: 0\n  request_timeout: 600\n"
        f"  telemetry: false\n  set_verbose: false\ngeneral_settings:\n  master_key: {KEY}\n"
    )
    command = [str(home / "bin" / "litellm"), "--config", str(settings), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    process = run([*command, "--num_workers", "1"], cores, folder / "litellm.log", **quiet)
    return Gateway("litellm", f"tcp:{port}", process, MODEL, BEARER)


def litellm_metrics(upstream: int, port: int, folder: Path, cores: Iterable[int]) -> Gateway:
    """LiteLLM's proxy with a master key and its Prometheus metrics."""
    found = litellm(upstream, port, folder, cores, "prometheus")
    found.name = "litellm+metrics"
    return found


def portkey(upstream: int, port: int, folder: Path, cores: Iterable[int]) -> Gateway:
    """Portkey's gateway, which knows neither keys of its own nor metrics."""
    home = BUILD / "portkey"
    script = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text(json.dumps(PORTKEY))
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", home], check=True)
    command = ["node", str(script), f"--port={port}", "--headless"]
    process = run(command, cores, folder / "portkey.log", NODE_ENV="production")
    host = f"http://127.0.0.1:{upstream}/v1"
    headers = {**BEARER, "x-portkey-provider": "openai", "x-portkey-custom-host": host}
    return Gateway("portkey", f"tcp:{port}", process, MODEL, headers)


PEERS: dict[str, Start] = {"litellm": litellm, "litellm+metrics": litellm_metrics, "portkey": portkey}


def wait(gateway: Gateway, folder: Path) -> None:
    """Until it answers a question; says what it logged when it never does."""
    port = gateway.target.removeprefix("tcp:")
    question = f'{{"model": "{gateway.model}", "messages": [{{"role": "user", "content": "hi"}}]}}'.encode()
    headers = {"Content-Type": "application/json", **gateway.headers}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", question, headers)
    until = time.monotonic() + PATIENCE
    said: object = ""
    while time.monotonic() < until and gateway.process is not None and gateway.process.is_running():
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError) as error:
            said = error.read()[:500] if isinstance(error, urllib.error.HTTPError) else error
        time.sleep(0.5)
    log = folder / f"{gateway.name.partition('+')[0]}.log"
    raise SystemExit(f"{gateway.name} does not answer ({said!r}):\n{log.read_text(errors='replace')[-3000:]}")


def end(gateway: Gateway) -> None:
    """Stop it and what it started."""
    tree = gateway.tree()
    for each in reversed(tree):
        if each.is_running():
            each.terminate()
    _, left = psutil.wait_procs(tree, timeout=10)
    for each in left:
        each.kill()
