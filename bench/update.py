"""How many bytes an update of a model moves, and how fast models are cut, hashed and put together.

    python bench/update.py [--folder DIR] [--speed-only | --bytes-only] [--write]

The updates are those of `revisions`, of a model of 1.1 billion weights. Beside what `penjing` moves (its index and the
chunks that are missing, counted by a real store that puts the new version together from them, compared byte for byte):
the whole file, `zstd -3 --long=31 --patch-from`, and chunks of 64 KiB on average that are cut by content, with 36 bytes
of index each. Goals: 0.1 % of the file where only metadata changed, else the share of changed tensors and 1 %.

Speed is that of a file in the shape of a model of 7 billion weights, in a process of its own on one core; the time is
the processor's, so that the disk does not count. Beside it SHA-256 alone. Goals: 1 GB/s, 200 MB of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import page
from revisions import FIRST, UPDATES, Shape, write
from shapes import write as shaped

ROUNDS = 5
READ = 1 << 20
INDEX = 36
"""Bytes of an index for each chunk: a SHA-256 and a length."""


@dataclass(frozen=True)
class Moved:
    """Bytes of one update; `changed` is the share of the file whose tensors differ, times in seconds."""

    name: str
    whole: int
    changed: float
    ours: int
    patch: int
    generic: int
    ours_s: float
    patch_s: float
    patch_memory: int


def moved(name: str, first: Path, second: Path, folder: Path) -> Moved:
    """Every way of getting from `first` to `second`."""
    ours, seconds = by_difference(first, second, folder)
    patch, patch_s, memory = by_patch(first, second, folder)
    return Moved(
        name, second.stat().st_size, changed(first, second), ours, patch, generic(first, second), seconds, patch_s,
        memory,
    )  # fmt: skip


def by_difference(first: Path, second: Path, folder: Path) -> tuple[int, float]:
    """What one store asks of another: bytes, and the seconds that putting it together took."""
    from penjing.manifest import Manifest
    from penjing.store import delta, index
    from penjing.store.places import Reader, everywhere
    from penjing.store.versions import Store

    with tempfile.TemporaryDirectory(dir=folder) as place:
        here, there = Store(Path(place, "here")), Store(Path(place, "there"))
        here.add({"model.gguf": first}, Manifest(name="model", version="1"))
        new = delta.index(there.add({"model.gguf": second}, Manifest(name="model", version="2")))
        wanted = delta.missing(here, new)
        source = everywhere(there)
        with Reader() as reader:

            def fetch(chunks: Sequence[Any]) -> Iterator[bytes]:
                assert list(chunks) == wanted
                return (reader.whole(chunk, source[chunk.digest]) or b"" for chunk in chunks)

            begin = time.perf_counter()
            made = delta.assemble(here, new, fetch)
            seconds = time.perf_counter() - begin
        assert made.path.read_bytes() == second.read_bytes()
        return len(index.encode(new)) + sum(chunk.bytes for chunk in wanted), seconds


def by_patch(first: Path, second: Path, folder: Path) -> tuple[int, float, int]:
    """Bytes of zstd's patch, seconds to make it, and the memory that took."""
    patch = folder / "patch.zst"
    command = ["zstd", "-q", "-f", "-3", "--long=31", f"--patch-from={first}", str(second), "-o", str(patch)]
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds, size = time.perf_counter() - begin, patch.stat().st_size
    patch.unlink()
    return size, seconds, used.ru_maxrss * 1024


def generic(first: Path, second: Path) -> int:
    """Bytes with chunks of 64 KiB that know nothing of formats."""
    known = dict(content_defined(first))
    new = list(content_defined(second))
    return len(new) * INDEX + sum(size for digest, size in dict(new).items() if digest not in known)


def content_defined(path: Path) -> Iterator[tuple[bytes, int]]:
    from penjing.store.rolling import COARSE, lengths

    with path.open("rb") as cutting, path.open("rb") as reading:
        for size in lengths(iter(partial(cutting.read, READ), b""), COARSE):
            yield hashlib.sha256(reading.read(size)).digest(), size


def changed(first: Path, second: Path) -> float:
    """The share of `second` that is tensors which `first` has not, bit for bit."""
    before, after = digests(first), digests(second)
    differing = sum(size for name, (digest, size) in after.items() if before.get(name, (b"", 0))[0] != digest)
    return differing / second.stat().st_size


def digests(path: Path) -> dict[str, tuple[bytes, int]]:
    from penjing.probe import gguf

    found = {}
    with path.open("rb") as stream:
        for tensor in gguf.read(path).tensors:
            stream.seek(tensor.offset)
            found[tensor.name] = hashlib.sha256(stream.read(tensor.bytes)).digest(), tensor.bytes
    return found


def noisy(folder: Path) -> Path:
    """A file in the shape of llama-7b, 4 bits a weight, in which no two pieces are alike."""
    import numpy as np

    path = folder / "noisy-7b.gguf"
    if path.exists():
        return path
    hollow = shaped("llama-7b", "Q4_0", folder, hollow=True)
    from penjing.probe import gguf

    with hollow.open("r+b") as stream:
        at = stream.seek(min(tensor.offset for tensor in gguf.read(hollow).tensors))
        left, draw = hollow.stat().st_size - at, np.random.default_rng(3)
        while left > 0:
            left -= stream.write(draw.bytes(min(left, 64 << 20)))
    return hollow.rename(path)


def sha(path: Path, folder: Path) -> None:
    """The measure: read it and hash it once."""
    hashed, buffer = hashlib.sha256(), memoryview(bytearray(READ))
    with path.open("rb", buffering=0) as stream:
        while got := stream.readinto(buffer):
            hashed.update(buffer[:got])


def cut(path: Path, folder: Path) -> None:
    """Cut it and hash each chunk, as for an index."""
    from penjing.store import chunks

    chunks.of(path, whole=False)


def survey(path: Path, folder: Path) -> None:
    """As `cut`, and hash the whole file beside it, as `store add` does."""
    from penjing.store import chunks

    chunks.of(path)


def assemble(path: Path, folder: Path) -> None:
    """Put it together from its chunks and check it, as an update does."""
    from penjing.store import chunks
    from penjing.store.assembling import Part
    from penjing.store.assembling import assemble as put_together
    from penjing.store.index import Chunk
    from penjing.store.places import Place

    listed = folder / "noisy-7b.json"
    if not listed.exists():
        found, whole = chunks.of(path)
        listed.write_text(json.dumps([whole, [(chunk.name, chunk.bytes) for chunk in found]]))
        raise SystemExit("listed")
    whole, names = json.loads(listed.read_text())
    parts = [Chunk(bytes.fromhex(name), size) for name, size in names]
    where, at = {}, 0
    for part in parts:
        where[part.digest] = Place(path, at, part.bytes)
        at += part.bytes
    made = folder / "assembled.gguf"
    assert not put_together(Part(made, parts, whole), where, (), lambda done: None)
    made.unlink()


WORKS = {"SHA-256 alone": sha, "cut, hash chunks": cut, "the same and the whole file": survey, "assemble": assemble}


def measured(work: str, path: Path, folder: Path) -> tuple[float, int]:
    """GB for each second of the processor, and peak bytes of memory, in a process on one core."""
    command = [sys.executable, __file__, "--folder", str(folder), "--work", work]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return path.stat().st_size / 1e9 / done["seconds"], done["memory"]


def child(work: str, folder: Path) -> None:
    """One measurement, in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    path = noisy(folder)
    import penjing.store.assembling  # noqa: F401  # what is loaded does not count

    before = time.process_time()
    WORKS[work](path, folder)
    seconds = time.process_time() - before
    print(json.dumps({"seconds": seconds, "memory": peak()}))


def peak() -> int:
    """Most bytes of memory this process had; what it was forked from does not count (proc_pid_status(5), VmHWM)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def speeds(folder: Path) -> list[str]:
    """A table of speeds; rounds alternate."""
    path = noisy(folder)
    subprocess.run([sys.executable, __file__, "--folder", str(folder), "--work", "assemble"], capture_output=True)
    found: dict[str, list[tuple[float, int]]] = {work: [] for work in WORKS}
    for _ in range(ROUNDS):
        for work in WORKS:
            found[work].append(measured(work, path, folder))
    lines = ["| | GB/s | memory |", "|---|---|---|"]
    for work, each in found.items():
        rates, memory = [rate for rate, _ in each], max(size for _, size in each)
        spread = f"{statistics.median(rates):.2f} ({min(rates):.2f} … {max(rates):.2f})"
        lines.append(f"| {work} | {spread} | {memory / 1e6:.0f} MB |")
    return lines


def share(part: float) -> str:
    return f"{part:.3%}" if part < 0.01 else f"{part:.1%}"


def sizes(shape: Shape, folder: Path) -> list[str]:
    """A table of bytes."""
    first = write(FIRST, shape, folder / "first.gguf")
    lines = [
        "| | changed tensors | penjing | zstd --patch-from | 64 KiB chunks | whole | penjing | zstd | its memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, revision in UPDATES.items():
        second = write(revision, shape, folder / f"{name.replace(' ', '-')}.gguf", first)
        found = moved(name, first, second, folder)
        cells = [share(size / found.whole) for size in (found.ours, found.patch, found.generic)]
        row = f"| {name} | {share(found.changed)} | **{cells[0]}** | {cells[1]} | {cells[2]} "
        row += f"| {found.whole / 1e6:.0f} MB | {found.ours_s:.1f} s | {found.patch_s:.1f} s "
        lines.append(row + f"| {found.patch_memory / 1e9:.1f} GB |")
        print(lines[-1], flush=True)
        met = found.ours / found.whole <= (0.001 if name == "metadata" else found.changed + 0.01)
        print("  goal met" if met else "  GOAL MISSED", flush=True)
    return lines


HEADINGS = {
    "sizes": {
        "en": "`python bench/update.py`: what an update moves, of the whole file (1.1 · 10⁹ weights, `Q4_K_M`); "
        "seconds are those of putting it together, and of making the patch ({cpu}, {cores} cores, others at work "
        "beside it).",
        "zh": "`python bench/update.py`：一次更新传输的数据占整个文件的比例（11 亿个权重，`Q4_K_M`）；"
        "时间分别为拼合新版本和制作补丁所需（{cpu}，{cores} 核，同时有其他任务）。",
    },
    "speeds": {
        "en": "`python bench/update.py`: a file of 7 billion weights ({size}) on one core, in GB for each second of "
        "the processor, and the peak memory of the process ({cpu}; {rounds} rounds in turn, median and spread).",
        "zh": "`python bench/update.py`：70 亿权重的文件（{size}）在单核上的处理速度，以处理器每秒处理的 GB 计，"
        "以及进程的内存峰值（{cpu}；轮流 {rounds} 次，中位数与范围）。",
    },
}


def put(part: str, lines: list[str], **facts: object) -> None:
    """A table into the docs, under a mark of its own."""
    told, text = {**page.machine(), "rounds": ROUNDS, **facts}, "\n".join(lines)
    texts = {language: f"{heading.format(**told)}\n\n{text}" for language, heading in HEADINGS[part].items()}
    page.write(f"bench/update.py: {part}", texts, "store")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "penjing-update"))
    parser.add_argument("--layers", type=int, default=Shape().layers, help="fewer for a quick look")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--bytes-only", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.work:
        child(options.work, options.folder)
        return
    if not options.speed_only:
        lines = sizes(Shape(layers=options.layers), options.folder)
        if options.write:
            put("sizes", lines)
    if not options.bytes_only:
        lines = speeds(options.folder)
        print("\n".join(lines))
        if options.write:
            put("speeds", lines, size=f"{noisy(options.folder).stat().st_size / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
