"""Write the guide's manifest and its model card in both languages from what training and evaluation measured.

Knows nothing of how the numbers came about: it reads `run.json` and `quality.json` and fills `card.en.md` and
`card.zh.md`. Nothing in a card is written by hand.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from string import Template
from typing import Any

from penjing.manifest import Manifest, describe, save

HERE = Path(__file__).parent
CARDS = {"en": "README.md", "zh": "README.zh.md"}
FILES = (
    "guide.gguf",
    "model.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "yardstick.jsonl",
)
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "en": "English",
        "zh": "Chinese",
        "measure": "measure",
        "questions": "questions",
        "accuracy": "right, all questions inside its world",
        "fact": "– facts",
        "followup": "– follow-ups",
        "arithmetic": "– arithmetic",
        "greeting": "– greetings and about itself",
        "refusals": "refusals of questions outside its world",
        "false_refusals": "refusals of questions inside its world",
        "perplexity": "perplexity of the held-out answers",
        "early": "So that the yardstick can tell models apart, the same model after $epochs epochs ($minutes minutes, "
        "rates not yet decayed):",
        "blind": "Blind questions (`recipes/guide/blind.jsonl`, `$digest`): written by hand from the answers, by an "
        "author who had opened neither `phrases/` nor the yardstick, but `facts/`, which holds wordings for 71 of "
        "them. Nobody has read what fails in it; only its counts are known.",
        "calls": "Functions: of $questions questions that ask for one of up to three offered functions, in wordings "
        "that training never saw, so many were answered by exactly the right call: $right.",
        "no_accelerator": "no accelerator",
        "start": "- from minute $minute: peak rates $matrix_rate (Muon) and $rate (AdamW), decaying over the last "
        "$decay of the time; corpus `$corpus`",
        "average": "\nThe weights are the mean of two ends of this run: $share of those at minute $first, the rest of "
        "those at minute $second.",
        "preliminary": "\n**Preliminary**: weights of a short trial run; a fully trained model replaces them.\n",
    },
    "zh": {
        "en": "英文",
        "zh": "中文",
        "measure": "指标",
        "questions": "问题数",
        "accuracy": "范围内全部问题答对",
        "fact": "– 事实",
        "followup": "– 追问",
        "arithmetic": "– 算术",
        "greeting": "– 问候与自我介绍",
        "refusals": "范围外问题说明不会",
        "false_refusals": "范围内问题误拒",
        "perplexity": "留出答案的困惑度",
        "early": "为了说明这把尺子分得出模型的好坏，同一模型训练 $epochs 轮后（$minutes 分钟，学习率尚未衰减）：",
        "blind": "盲测题（`recipes/guide/blind.jsonl`，`$digest`）：由人对照答案手写，"
        "出题人没有打开过 `phrases/`，也没有看过上面那套题，但看过 `facts/`，其中有 71 道题所问事实的问法。"
        "没有人看过其中答错的题，只知道统计数字。",
        "calls": "函数调用：$questions 个问题各需调用所提供的（至多三个）函数之一，问法在训练中没有出现过；"
        "调用完全正确的比例：$right。",
        "no_accelerator": "无加速卡",
        "start": "- 从第 $minute 分钟起：峰值学习率 $matrix_rate（Muon）和 $rate（AdamW），在最后 $decay 的时间里衰减；"
        "语料 `$corpus`",
        "average": "\n权重是这次训练两个终点的平均：第 $first 分钟的占 $share，其余为第 $second 分钟的。",
        "preliminary": "\n**初版**：权重来自短时间的试训练，之后由完整训练的模型替换。\n",
    },
}
Record = dict[str, Any]


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def table(report: Record, words: dict[str, str], *, by_kind: bool = True) -> str:
    """One evaluation report as a Markdown table with a column for each language."""
    languages = report["languages"]
    kinds = {kind for r in languages.values() for kind in r["accuracy_by_kind"]} if by_kind else set()
    rows = [(words["questions"], [str(r["questions"]) for r in languages.values()])]
    rows.append((words["accuracy"], [percent(r["accuracy"]) for r in languages.values()]))
    rows += [
        (words[kind], [percent(r["accuracy_by_kind"].get(kind)) for r in languages.values()])
        for kind in sorted(kinds, key=list(words).index)
    ]
    rows += [(words[n], [percent(r[n]) for r in languages.values()]) for n in ("refusals", "false_refusals")]
    if "perplexity" in report:
        rows.append((words["perplexity"], [f"{report['perplexity'][language]:.3f}" for language in languages]))
    head = [words["measure"], *(words[language] for language in languages)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows])


def early(report: Record, words: dict[str, str]) -> str:
    """What the same model scored when it was `report["progress"]` far."""
    when = report["progress"]
    told = {"epochs": f"{when['epochs']:.1f}", "minutes": f"{when['seconds'] / 60:.0f}"}
    return Template(words["early"]).substitute(told) + "\n\n" + table(report, words)


def blind(quality: Record, words: dict[str, str]) -> str:
    """The counts over the blind set; nothing where it was not asked."""
    if "blind" not in quality:
        return ""
    told = Template(words["blind"]).substitute(digest=quality["blind"]["sha256"][:12])
    return f"\n{told}\n\n{table(quality['blind'], words, by_kind=False)}\n"


def calls(quality: Record, words: dict[str, str]) -> str:
    """How often functions are called as asked; nothing where it was not measured."""
    if "calls" not in quality:
        return ""
    found = quality["calls"]
    right = ", ".join(f"{words[language]} {percent(found[language]['right'])}" for language in sorted(found))
    told = {"questions": str(sum(each["questions"] for each in found.values())), "right": right}
    return f"\n{Template(words['calls']).substitute(told)}\n"


def start(given: Record, words: dict[str, str]) -> str:
    """What one start of the run was given."""
    told = {**given, "decay": f"{100 * given['decay_share']:.0f} %", "corpus": given["corpus_sha256"][:12]}
    return Template(words["start"]).substitute(told)


def average(run: Record, words: dict[str, str]) -> str:
    """Of which ends of the run the weights are the mean; nothing where they are those of its end."""
    if "average" not in run:
        return ""
    first, second = run["average"]["minutes"]
    told = {"share": f"{100 * run['average']['share']:.0f} %", "first": f"{first:.0f}", "second": f"{second:.0f}"}
    return Template(words["average"]).substitute(told)


def values(run: Record, quality: Record, folder: Path, language: str, *, preliminary: bool) -> dict[str, str]:
    """What the card's template asks for."""
    words, machine, progress = WORDS[language], run["machine"], run["progress"]
    return {
        **{name: str(value) for name, value in run["shape"].items()},
        "parameters": f"{run['parameters']:,}",
        "gguf_mb": f"{(folder / 'guide.gguf').stat().st_size / 1e6:.1f}",
        "safetensors_mb": f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f}",
        "processor": machine["processor"],
        "cores": str(machine["cores"]),
        "memory": str(machine["memory_gib"]),
        "accelerator": machine["accelerator"] or words["no_accelerator"],
        "minutes": f"{progress['seconds'] / 60:.0f}",
        "steps": f"{progress['steps']:,}",
        "tokens": f"{progress['tokens'] / 1e6:.1f}",
        "epochs": f"{progress['epochs']:.1f}",
        "torch": run["torch"],
        "starts": "\n".join(start(given, words) for given in run.get("history", [])) + average(run, words),
        "scores": table(quality["final"], words),
        "early": "\n\n".join(early(report, words) for report in quality["early"]),
        "calls": calls(quality, words),
        "blind": blind(quality, words),
        "preliminary": words["preliminary"] if preliminary else "",
    }


def manifest(run: Record, quality: Record, folder: Path, version: str) -> Manifest:
    """What penjing knows of the model."""
    shape = run["shape"]
    facts = {
        "architecture": "llama",
        "parameters": run["parameters"],
        "context": shape["context"],
        "layers": shape["layers"],
        "hidden": shape["hidden"],
        "vocabulary": shape["vocab"],
        "languages": ["en", "zh"],
        "quantization": {"guide.gguf": "Q8_0", "model.safetensors": "BF16"},
    }
    return Manifest(
        name="guide",
        version=version,
        licence="Apache-2.0",
        facts=facts,
        files=tuple(describe(folder / name, folder) for name in FILES),
        recipe={
            "made_by": "make guide",
            **{k: run[k] for k in ("plan", "progress", "history", "average", "machine", "torch") if k in run},
        },
        quality=quality,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("build/guide/run/run.json"))
    parser.add_argument("--quality", type=Path, default=Path("build/guide/quality.json"))
    parser.add_argument("--folder", type=Path, default=Path("src/penjing/data/guide"))
    parser.add_argument("--version", default="1")
    parser.add_argument("--preliminary", action="store_true", help="say that the weights are from a short trial")
    parser.add_argument("--yardstick", type=Path, help="copy the held-out questions from here into the folder first")
    options = parser.parse_args()
    if options.yardstick:
        shutil.copyfile(options.yardstick, options.folder / "yardstick.jsonl")
    run = json.loads(options.run.read_text(encoding="utf-8"))
    quality = json.loads(options.quality.read_text(encoding="utf-8"))
    for language, name in CARDS.items():
        template = Template((HERE / f"card.{language}.md").read_text(encoding="utf-8"))
        filled = values(run, quality, options.folder, language, preliminary=options.preliminary)
        (options.folder / name).write_text(template.substitute(filled), encoding="utf-8")
    save(manifest(run, quality, options.folder, options.version), options.folder)
    print(f"manifest and cards -> {options.folder}")


if __name__ == "__main__":
    main()
