"""What shrinking comes to: sizes, points lost on two yardsticks, and a 13B shape end to end.

    python bench/shrink.py [--second FOLDER] [--work DIR] [--shape llama-13b] [--group FOLDER] [--write]

Yardstick models: the built-in guide on its held-out questions, and with `--second` the model of `second_model` (it is
made under FOLDER where it is not there, which needs torch). Of each the best file of 29 % and of 20 % of its size in
f16, by `quantize.budget.fit` with the built-in calibration text, and the points it loses, paired, with 95 % intervals.
What was measured is kept in DIR/figures.json: parts can be measured one by one (`--only`) and written together.

The 13B shape has a 26 GB source of f16 that lies on disk as holes, but for some rows of each tensor: enough to see
what memory, disk and time it takes. It goes the way of every model, `penjing shrink --to`: calibrated, types measured,
compared with the original at the end. What is looked at is that every step works, the file's size, and the memory that
the process has of its own (pages of the file that it reads count as resident too, but are given back when others need
room). With `--group`, a folder of memory cgroups (Linux, version 1, as root), it gets 3 GB and no more, pages of files
included. Killed, the same command goes on,
and what it took before is added.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import page
import shapes
from penjing.export.gguf.convert import convert
from penjing.probe import single
from penjing.shrink.evaluate.quality import Estimate
from penjing.shrink.evaluate.run import evaluate
from penjing.shrink.evaluate.tasks import Task, task
from penjing.shrink.quantize.budget import fit, least_bytes
from penjing.shrink.quantize.calibration import calibration
from second_model import second_model

SHARES = {"4 bits": 0.29, "20 %": 0.20}
"""Bytes of the file for each of the same model in f16."""
GOALS = {"4 bits": 0.5, "20 %": 2.0}
"""Points that may be lost."""
QUESTIONS = 1200
FILLED = 64
"""Rows of a tensor of the large shape that are no hole."""
ROOM = 3_000_000_000
"""Bytes of memory that the large shape may take."""
LOOKED = 1.0
"""Seconds from one look at its memory to the next."""
WORDS = {
    "en": {
        "heads": (
            "model",
            "file",
            "of f16",
            "bits a weight",
            "right before",
            "right now",
            "points lost (95 %)",
            "goal",
        ),
        "shape": "{shape} shape: {source} of f16 (holes but for {rows} rows of each tensor) by `penjing shrink --to` "
        "to {size}, {share:.1%} of it, in {minutes:.0f} minutes, {memory} of memory of its own at most{within} (goals: "
        "20 %, 3 GB). Its weights are random, so this says that it works, not how well the model answers.",
        "within": ", in a group that was given {room}, pages of files included",
        "head": "{cpu}, {cores} cores, {date}, `bench/shrink.py`. Whole files, vocabulary included.",
    },
    "zh": {
        "heads": ("模型", "文件", "占 f16", "每权重位数", "此前答对", "现在答对", "损失的百分点（95 %）", "目标"),
        "shape": "{shape} 形状：{source} 的 f16（除每个张量的 {rows} 行外均为空洞），用 `penjing shrink --to` "
        "得到 {size}，占 {share:.1%}，用时 {minutes:.0f} 分钟，自有内存最多 {memory}{within}（目标：20 %，3 GB）。"
        "其权重是随机的：这只说明能做到，并不说明模型答得如何。",
        "within": "，在只给 {room}（含文件页）的控制组中运行",
        "head": "{cpu}，{cores} 核，{date}，`bench/shrink.py`。整个文件，含词表。",
    },
}


@dataclass(frozen=True)
class Row:
    """One file of one model. `lost` in points with its interval."""

    model: str
    wish: str
    bytes: int
    share: float
    bits: float
    before: float
    after: float
    lost: tuple[float, float, float]


def yardsticks(second: Path | None) -> dict[str, tuple[Path, Task]]:
    """Checkpoint folder and questions by name."""
    found: dict[str, tuple[Path, Task]] = {
        "guide": (Path(str(resources.files("penjing"))) / "data" / "guide", task("yardstick", QUESTIONS)[0])
    }
    if second is not None:
        made = second_model(second)
        found["second"] = (made.folder, made.task)
    return found


def rows(name: str, folder: Path, asked: Task, work: Path) -> list[Row]:
    """Made where they are not there; measured anew."""
    source = work / f"{name}-f16.gguf"
    if not source.exists():
        convert(folder, source)
    whole, windows, found = source.stat().st_size, calibration(source), []
    for wish, share in SHARES.items():
        target = work / f"{name}-{share:.2f}.gguf"
        if not target.exists():
            fit(source, target, int(share * whole), windows)
        quality = evaluate(target, source, texts=(), tasks=[asked])
        points = quality.tasks[0]
        gap = points.lost or Estimate(0.0, 0.0, 0.0)  # there is a parent
        lost = (100 * gap.value, 100 * gap.low, 100 * gap.high)
        size = target.stat().st_size
        before, after = points.parent_accuracy or 0.0, points.accuracy.value
        found.append(Row(name, wish, size, size / whole, quality.bits_per_weight, before, after, lost))
        print(json.dumps(asdict(found[-1])), flush=True)
    return found


def large(shape: str, work: Path, group: Path | None) -> dict[str, Any]:
    """The large shape through the recipe that every model goes through, in a process of its own."""
    source = work / f"{shape}-F16-hollow.gguf"
    if not source.exists():
        fill(shapes.write(shape, "F16", work, hollow=True))
    size, held = source.stat().st_size, source.stat().st_blocks * 512
    sizes = [f"{count / 1e9:.2f} GB" for count in (size, held, least_bytes(single.read(source)))]
    print("{}: {}, of which {} on disk; the smallest possible file is {}".format(shape, *sizes), flush=True)
    target = work / f"{shape}-20"
    command = [sys.executable, "-m", "penjing", "shrink", str(source), "--to", str(size // 5), "--output", str(target)]
    with limited(group) as join:
        home = {"PENJING_HOME": str(work / "home")}
        process = subprocess.Popen(command, env={**os.environ, **home}, preexec_fn=join)
        seen = watched(process, work / f"{shape}.json")
    if process.returncode:
        raise SystemExit(process.returncode)
    made = target / f"{target.name}.gguf"
    found = {
        "shape": shape,
        "source": size,
        "bytes": made.stat().st_size,
        "share": made.stat().st_size / size,
        "memory": seen.memory,
        "minutes": seen.seconds / 60,
        "room": ROOM if group else 0,
    }
    print(json.dumps(found), flush=True)
    return found


@dataclass
class Seen:
    """Of a process, and of those that were killed before it: how long they worked, and the most bytes of its own that
    one had (resident, of no file)."""

    seconds: float = 0.0
    memory: int = 0


def watched(process: subprocess.Popen[bytes], note: Path) -> Seen:
    """Until it ends; kept in `note` for the next one, where it does not end well."""
    seen = Seen(**json.loads(note.read_text())) if note.exists() else Seen()
    before, begun = seen.seconds, time.monotonic()
    while process.poll() is None:
        with suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            own = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon")]
            seen.memory = max([seen.memory, *own])  # none of a process that has just ended
        time.sleep(LOOKED)
        seen.seconds = before + time.monotonic() - begun
        note.write_text(json.dumps(asdict(seen)))
    if not process.returncode:
        note.unlink(missing_ok=True)
    return seen


@contextmanager
def limited(group: Path | None) -> Iterator[Callable[[], None]]:
    """A memory cgroup of ROOM bytes under `group`: what is given puts a new process into it."""
    if group is None:
        yield lambda: None
        return
    place = group / f"penjing-{os.getpid()}"
    place.mkdir()

    def join() -> None:
        (place / "tasks").write_text(str(os.getpid()))

    try:
        (place / "memory.limit_in_bytes").write_text(str(ROOM))
        yield join
    finally:
        place.rmdir()


def fill(path: Path) -> None:
    """Random numbers into the first rows of every matrix; norms are ones."""
    chance = np.random.default_rng(0)
    with path.open("r+b") as stream:
        for tensor in single.read(path).tensors:
            stream.seek(tensor.offset)
            if len(tensor.shape) == 1:
                stream.write(np.ones(tensor.shape, np.float32).tobytes())
            else:
                numbers = chance.standard_normal((min(FILLED, tensor.shape[0]), tensor.shape[-1]), np.float32)
                stream.write((numbers * tensor.shape[-1] ** -0.5).astype(np.float16).tobytes())


def told(found: list[Row], shape: dict[str, Any] | None, language: str) -> str:
    from penjing.files import human

    say = WORDS[language]
    heads = list(say["heads"])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in found:
        lost = f"{row.lost[0]:.2f} ({row.lost[1]:.2f} … {row.lost[2]:.2f})"
        figures = (human(row.bytes), f"{row.share:.1%}", f"{row.bits:.2f}", f"{row.before:.1%}", f"{row.after:.1%}")
        lines.append("| " + " | ".join((row.model, *figures, lost, f"{GOALS[row.wish]}")) + " |")
    parts = [str(say["head"]).format(**page.machine(), date=date.today().isoformat())]
    if found:
        parts.append("\n".join(lines))
    if shape:
        sizes = {name: human(shape[name]) for name in ("source", "memory")}
        within = str(say["within"]).format(room=human(shape["room"])) if shape["room"] else ""
        told = {**shape, **sizes, "within": within, "size": human(shape["bytes"]), "rows": FILLED}
        parts.append(str(say["shape"]).format(**told))
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--second", type=Path, help="folder of the second yardstick model")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "penjing-shrink"))
    parser.add_argument("--shape", default="llama-13b", help="the large shape")
    parser.add_argument("--group", type=Path, help="memory cgroups in which the large shape gets one of 3 GB")
    parser.add_argument(
        "--only", choices=("shape", "guide", "second", "kept"), help="this part alone; kept: measure nothing"
    )
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    figures = options.work / "figures.json"
    kept: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    if options.only in (None, "shape"):
        kept["shape"] = large(options.shape, options.work, options.group)
    for name, (folder, asked) in yardsticks(options.second).items() if options.only not in ("shape", "kept") else ():
        if options.only in (None, name):
            kept[name] = [asdict(row) for row in rows(name, folder, asked, options.work)]
            figures.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    figures.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    found = [Row(**row) for name in ("guide", "second") for row in kept.get(name, ())]
    pages = {language: told(found, kept.get("shape"), language) for language in WORDS}
    print(pages["en"])
    if options.write:
        page.write("bench/shrink.py", pages, "shrinking-figures")


if __name__ == "__main__":
    main()
