"""How fast a model is fetched: `penjing pull` beside the official client, from one server on this machine.

    python bench/pull.py --official .venv-all/bin/python [--gigabytes 2] [--write]

The server gives bytes with sendfile(2), at full speed or so many MB/s a connection, as servers far away do. The
official client (`huggingface_hub`, plain HTTP) compares lengths; penjing computes the SHA-256 of every byte while it
arrives, and for the store cuts and hashes what it has a second time. Sides alternate; medians over rounds, with the
range.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import page

NAME, FILE, COMMIT = "o/r", "m-Q8_0.gguf", "a" * 40
BLOCK = 1 << 20
OFFICIAL = f"from huggingface_hub import hf_hub_download; hf_hub_download({NAME!r}, {FILE!r})"
VERSION = "import huggingface_hub; print(huggingface_hub.__version__)"


class Handler(BaseHTTPRequestHandler):
    """The few questions of the Hub's protocol that both sides ask."""

    protocol_version = "HTTP/1.1"
    file: Path
    digest: str
    rate = 0.0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == f"/api/models/{NAME}/revision/main":
            self._json({"sha": COMMIT, "gated": False, "cardData": {"license": "mit"}})
        elif path == f"/api/models/{NAME}/tree/{COMMIT}":
            size = self.file.stat().st_size
            self._json([{"type": "file", "path": FILE, "size": size, "lfs": {"oid": self.digest, "size": size}}])
        else:
            self._file(head=False)

    def do_HEAD(self) -> None:
        self._file(head=True)

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, head: bool) -> None:
        size = self.file.stat().st_size
        asked = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        first = int(asked[0] or 0)
        stop = int(asked[2]) + 1 if asked[2] else size
        self.send_response(206 if asked[1] else 200)
        if asked[1]:
            self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{self.digest}"')
        self.end_headers()
        if not head:
            self.wfile.flush()
            self._send(first, stop)

    def _send(self, at: int, stop: int) -> None:
        begun, sent = time.monotonic(), 0
        with self.file.open("rb") as stream:
            while at < stop:
                moved = os.sendfile(self.connection.fileno(), stream.fileno(), at, min(BLOCK, stop - at))
                at, sent = at + moved, sent + moved
                if self.rate:
                    time.sleep(max(0.0, begun + sent / self.rate - time.monotonic()))

    def log_message(self, *words: object) -> None: ...


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def serving(file: Path, digest: str, rate: float) -> Iterator[str]:
    """A server at `rate` bytes a second and connection (0: all it can)."""
    handler = type("Here", (Handler,), {"file": file, "digest": digest, "rate": rate})
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def timed(command: list[str], folder: Path, url: str) -> tuple[float, float]:
    """Wall and CPU seconds of one download into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    told = {"HF_ENDPOINT": url, "HF_HOME": str(folder / "hf"), "PENJING_HOME": str(folder / "penjing")}
    quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, **told, **quiet}
    done = subprocess.run(command, env=environment, cwd=folder.parent, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(folder, ignore_errors=True)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(official: str, size: int, rounds: int, rates: list[float]) -> list[str]:
    """One line a side and rate: MB/s with the range, CPU seconds a GB, and the ratio to the official client."""
    penjing = [sys.executable, "-m", "penjing", "pull", f"hf:{NAME}", "--quiet"]
    lines = ["| server, each connection | client | MB/s | CPU s/GB | : official |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "to"
        sides = {
            "huggingface_hub": [official, "-c", OFFICIAL],
            "penjing, a folder": [*penjing, "--output", str(folder / "out")],
            "penjing, the store": penjing,
        }
        file = Path(temporary) / "file"
        digest = written(file, size)
        for rate in rates:
            with serving(file, digest, rate) as url:
                found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
                for _ in range(rounds):
                    for name, command in sides.items():
                        found[name].append(timed(command, folder, url))
            lines += [line(rate, name, size, found) for name in sides]
    return lines


def line(rate: float, name: str, size: int, found: dict[str, list[tuple[float, float]]]) -> str:
    """One line of the table."""
    speeds = [size / wall / 1e6 for wall, _ in found[name]]
    cpu = statistics.median(cpu for _, cpu in found[name]) / (size / 1e9)
    ratios = [theirs[0] / ours[0] for theirs, ours in zip(found["huggingface_hub"], found[name], strict=True)]
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})"
    shown = f"{statistics.median(speeds):.0f} ({min(speeds):.0f} … {max(speeds):.0f})"
    where = f"{rate / 1e6:.0f} MB/s" if rate else "loopback"
    return f"| {where} | {name} | {shown} | {cpu:.2f} | {'' if name == 'huggingface_hub' else ratio} |"


def written(file: Path, size: int) -> str:
    """Random bytes, which no system stores smaller; their SHA-256."""
    digest = hashlib.sha256()
    with file.open("wb") as stream:
        for _ in range(size // BLOCK):
            block = os.urandom(BLOCK)
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


HEADINGS = {
    "en": "## Fetching a model\n\n`python bench/pull.py`: a file of {size:.1f} GB from a server on the same machine, "
    "which gives all it can, or so many MB/s to each connection. huggingface_hub {official} over plain HTTP compares "
    "lengths; penjing computes every SHA-256, and for the store each chunk's too. {rounds} rounds in turn, {cpu}, "
    "{cores} cores, {memory}.",
    "zh": "## 获取模型\n\n`python bench/pull.py`：从同一台机器上的服务器下载 {size:.1f} GB 的文件，服务器全速发送，"
    "或每个连接限速若干 MB/s。huggingface_hub {official} 走普通 HTTP，只比较长度；penjing 计算全部 SHA-256，放入库时"
    "还计算每个分块的。交替 {rounds} 轮，{cpu}，{cores} 核，{memory}。",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", required=True, help="a Python that has huggingface_hub")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="*", default=[0.0, 25.0], help="MB/s a connection, 0: all it can")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    size = int(options.gigabytes * 1e9) // BLOCK * BLOCK
    official = str(Path(options.official).absolute())  # a link: resolved it would be another Python
    text = "\n".join(table(official, size, options.rounds, [rate * 1e6 for rate in options.rates]))
    print(text)
    if options.write:
        version = subprocess.run([official, "-c", VERSION], capture_output=True, text=True, check=True).stdout.strip()
        told = {**page.machine(), "size": size / 1e9, "rounds": options.rounds, "official": version}
        page.write("bench/pull.py", {each: f"{HEADINGS[each].format(**told)}\n\n{text}" for each in HEADINGS})


if __name__ == "__main__":
    main()
