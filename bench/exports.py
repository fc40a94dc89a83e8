"""Every target, every precision: exported, loaded again by its runtime, compared with the original.

    python bench/exports.py [--folder DIR] [--models NAME ...] [--targets NAME ...] [--precisions NAME ...]
                            [--again] [--write]

Models: `guide`, and tiny checkpoints of three families with random weights in their true format (the ones of
tests/export/gguf, which need torch, transformers, tokenizers and sentencepiece). Each export is made by `penjing
export` in a process of its own. What --folder has is not made again, so that a run that was stopped goes on, and
targets whose packages are in another environment are added from there. --write puts the table of all that --folder
has into docs/{en,zh}/exports.md.

Sizes are those of the model's files: without tokenizer, starters, the page around it, and the bundle that holds the
same model once more.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import page
from penjing.export import check as checking
from penjing.export.check import Check
from penjing.export.target import Target, target, targets
from penjing.files import human
from penjing.manifest import load
from penjing.probe import model as probe

MODELS = ("guide", "llama-3", "qwen-3", "gemma-3")
TINY = page.ROOT / "tests" / "export" / "gguf"
MAIN = {"web": "models/*", "litert": "*.tflite"}
"""Which files are the model, where not all are that are no text."""
TEXTS = (".json", ".jinja", ".model", ".md", ".txt")
GGUF = ("q4_k_m", "q8_0", "f16", "f32")
"""Of the target's many types, the common ones."""
MOST = 3600
"""Seconds for one export."""
HEADINGS = {
    "en": "## Measured\n\n`bench/exports.py`, {cpu}. Compared with the original in float32: two prompts of up to 64 "
    "tokens in English and two in Chinese, {decoded} decoded tokens after each. The error is the largest of any logit, "
    "and beside it in standard deviations of the original's logits; KL in nats a token; top-1 is how often the "
    "likeliest token is the same. `llama-3`, `qwen-3` and `gemma-3` are tiny checkpoints with random weights: their "
    "answers hang on every bit, and their files are mostly graph. Verified: every language within {limits}.",
    "zh": "## 实测\n\n`bench/exports.py`，{cpu}。与 float32 的原模型比较：英文、中文提示各两段"
    "（每段至多 64 个 token），"
    "每段之后解码 {decoded} 个 token。误差为所有 logit 中最大的绝对误差，括号内以原模型 logit 的标准差为单位；"
    "KL 单位为每 token 奈特；top-1 为最可能的 token 相同的比例。`llama-3`、`qwen-3`、`gemma-3` 是随机权重的微型检查点："
    "它们的回答取决于每一位，文件也大多是计算图。通过验证：每种语言都在以下范围内：{limits}。",
}
HEADS = {
    "en": "| target | model | precision | size | of fp32 | error | KL | top-1 | verified |\n"
    "|---|---|---|---|---|---|---|---|---|",
    "zh": "| 目标 | 模型 | 精度 | 大小 | 占 fp32 | 误差 | KL | top-1 | 通过验证 |\n"
    "|---|---|---|---|---|---|---|---|---|",
}
YES = {"en": ("yes", "**no**"), "zh": ("是", "**否**")}


@dataclass(frozen=True)
class Row:
    """One export: bytes of its model files beside those of the original in float32."""

    target: str
    model: str
    check: Check
    bytes: int
    original: int

    def line(self, language: str) -> str:
        """As it stands in the table."""
        whole = self.check.whole
        cells = (
            self.target,
            self.model,
            self.check.precision,
            human(self.bytes),
            f"{self.bytes / self.original * 100:.0f} %",
            f"{whole.max_abs_error:.1e} ({whole.relative_error:.1e})",
            f"{whole.kl:.1e}",
            f"{whole.top1 * 100:.1f} %",
            YES[language][not self.check.verified],
        )
        return "| " + " | ".join(cells) + " |"


def checkpoint(name: str, folder: Path) -> str:
    """What to type for the model `name`; a tiny one is made in `folder`."""
    place = folder / "models" / name
    if name == "guide" or place.is_dir():
        return name if name == "guide" else str(place)
    sys.path.insert(0, str(TINY))
    made: Any = importlib.import_module("tiny_checkpoints")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made.make(made.SAMPLES[name], Path(scratch) / name)
        place.parent.mkdir(exist_ok=True)
        shutil.move(Path(scratch) / name, place)
    return str(place)


def precisions(wanted: Target) -> list[str]:
    """Those that are measured."""
    return [name for name in wanted.precisions if wanted.name != "gguf" or name in GGUF]


def export(name: str, precision: str, model: str, output: Path) -> None:
    """One export, as a person makes it; what went wrong is printed."""
    if output.exists():
        shutil.rmtree(output)
    words = ["--target", name, "--precision", precision, "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "penjing", "export", model, *words, "--check"],
        capture_output=True, text=True, timeout=MOST, check=False,
    )  # fmt: skip
    if done.returncode:
        print(f"{name} {precision} {model}: exit status {done.returncode}\n{done.stderr[-1500:]}", flush=True)


def row(name: str, model: str, output: Path, source: Path) -> Row:
    """What an export in `output` is worth."""
    pattern = MAIN.get(name)
    listed = [entry for entry in load(output).files if not entry.path.startswith("starter/")]
    if pattern is not None:
        chosen = {str(path.relative_to(output)) for path in output.glob(pattern)}
        listed = [entry for entry in listed if entry.path in chosen]
    else:
        listed = [entry for entry in listed if not entry.path.endswith(TEXTS)]
    size = sum(entry.bytes for entry in listed)
    return Row(name, model, checking.load(output), size, probe.read(source).parameters * 4)


def rows(folder: Path) -> list[Row]:
    """Everything that `folder` has, in the order of targets, models and precisions."""
    from penjing.store.resolve import guide

    found = []
    for name in targets():
        for model in MODELS:
            source = guide().parent if model == "guide" else folder / "models" / model
            for precision in precisions(target(name)):
                output = folder / f"{name}-{model}-{precision}"
                if (output / checking.NAME).is_file():
                    found.append(row(name, model, output, source))
    return found


def limits() -> str:
    """The limits in words."""
    parts = [(f"≥ {bits:g} bit", allowed) for bits, allowed in checking.LIMITS] + [("< 7.5 bit", checking.COARSE)]
    return "; ".join(
        f"{words}: error {each.error:g} σ, KL {each.kl:g}, top-1 {each.top1 * 100:g} %" for words, each in parts
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "penjing-exports")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--targets", nargs="*", default=list(targets()))
    parser.add_argument("--precisions", nargs="+", help="these alone, where a target has them")
    parser.add_argument("--again", action="store_true", help="make what is there again")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.targets:
        for model in options.models:
            for precision in precisions(target(name)):
                output = options.folder / f"{name}-{model}-{precision}"
                if options.precisions and precision not in options.precisions:
                    continue
                if options.again or not (output / checking.NAME).is_file():
                    export(name, precision, checkpoint(model, options.folder), output)
    found = rows(options.folder)
    table = {language: "\n".join([HEADS[language], *(each.line(language) for each in found)]) for language in HEADS}
    print(table["en"])
    print(json.dumps({"exports": len(found), "verified": sum(each.check.verified for each in found)}))
    if options.write:
        facts = {**page.machine(), "decoded": checking.DECODED, "limits": limits()}
        texts = {each: f"{HEADINGS[each].format(**facts)}\n\n{table[each]}" for each in HEADINGS}
        page.write("bench/exports.py", texts, "exports")


if __name__ == "__main__":
    main()
