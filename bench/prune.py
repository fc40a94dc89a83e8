"""What removing 30 % of a model's parameters costs, and how much of that distillation brings back: penjing's criterion
against first-order Taylor (Torch-Pruning's GroupTaylorImportance, the criterion of LLM-Pruner), on the built-in guide
and on a second model (`second_model.py`).

    python -m recipes.guide.corpus --output CORPUS
    .venv-all/bin/python bench/prune.py --corpus CORPUS --folder WORK [--second FOLDER] [--only second] [--write]

Both sides lose as many parameters, see the same calibration examples, and learn from the same examples for the same
number of steps: conversations of the guide's recipe, the learned part of `second_text`. What is near its teacher wants
a lower learning rate than what is far, so each side learns all the steps in each of the WAYS (an optimizer and a rate),
and what is better on examples that are held out of the learned ones counts. torch-pruning's dependency
graph finds the groups and its importance ranks them; cutting a whole model with grouped queries by it never ends (seen
with 1.6), so that the feed-forward channels that it ranks lowest are cut by penjing's own slicer, without repair.
Models and answers that are in WORK are not made again.

Questions: the guide's yardstick, answered greedily by llama.cpp; the second model's choices of the next word. What is
compared in nats is text that nothing was learned from. Differences are paired, with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import page
import second_text
from penjing import manifest
from penjing.shrink import extra, torch_model
from penjing.shrink.divergence import divergence
from penjing.shrink.examples import examples
from penjing.shrink.finetune import rows
from penjing.shrink.finetune.turns import Turns
from penjing.shrink.lineage import Step
from penjing.shrink.optimizer import ADAMW
from penjing.shrink.packing import IGNORED, Example, looked
from penjing.shrink.prune.anatomy import Anatomy
from penjing.shrink.prune.cut import Kept, cut
from penjing.shrink.prune.prune import PruneOptions, prune
from penjing.shrink.texts.read import read
from penjing.shrink.texts.text import Document, Text
from second_model import Second

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "src" / "penjing" / "data" / "guide"
YARDSTICK = "yardstick.jsonl"
RATIO = 0.3
CALIBRATION, CONTEXT, COMPARED = 160, 256, 400
STEPS = {"guide": 700, "second": 1000}
"""Of distilling, so that none takes half an hour."""
WAYS = {"guide": ("adamw:0.0002", "adamw:0.0005"), "second": ("adamw:0.0002", "adamw:0.0005", "muon:0.0005")}
PIECE = 600
"""Characters of the second model's text that make an example: about as many tokens as it was trained on."""
MATRICES = 3
"""Of a gated feed-forward part."""
SLOTS = 4
"""Questions at once: few, so that none times out on a busy machine."""
OURS, PEER = "penjing", "Taylor (torch-pruning)"
SHORT = {OURS: "ours", PEER: "peer"}
STAGES = ("pruned", "distilled")
WORDS = {
    "en": {
        "title": "## Figures",
        "head": "| model | parameters | right | points lost (95 %) | KL from the original, nats a token |",
        "pruned": "{model}: {name}, pruned",
        "distilled": "{model}: {name}, distilled with {optimizer} at {rate:g}",
        "back": "{model}, {name}: {back:.0%} of the divergence that pruning cost came back.",
        "how": "{cpu}, {cores} cores, `bench/prune.py`; {asked}; distilled with {batch} examples a step: {minutes}. "
        "Each side learned in all of these ways; what was better on held-out text counts.",
        "comma": ", ",
        "semicolon": "; ",
        "list": ", ",
        "asked": "{model} answered {questions} questions",
        "took": "{model} {steps} steps, {minutes:.0f} minutes of a core, with {ways}",
        "way": "{optimizer} at {rate}",
    },
    "zh": {
        "title": "## 数据",
        "head": "| 模型 | 参数 | 答对 | 损失的百分点（95 %） | 与原模型的 KL（奈特/词元） |",
        "pruned": "{model}：{name}，剪枝后",
        "distilled": "{model}：{name}，用 {optimizer} 以 {rate:g} 蒸馏后",
        "back": "{model}，{name}：剪枝造成的散度恢复了 {back:.0%}。",
        "how": "{cpu}，{cores} 核，`bench/prune.py`；{asked}；蒸馏每步 {batch} 个样本：{minutes}。"
        "双方各以所有这些方式学习，取在留出文本上更好的。",
        "comma": "，",
        "semicolon": "；",
        "list": "、",
        "asked": "{model} 回答 {questions} 个问题",
        "took": "{model} {steps} 步，单核 {minutes:.0f} 分钟，方式为 {ways}",
        "way": "{optimizer} {rate}",
    },
}


@dataclass(frozen=True)
class Answered:
    """One model on its yardstick: which questions it got right, and its divergence from the parent in nats; `minutes`
    of a core that making it took, `steps` of distilling with `optimizer` at `rate`."""

    right: list[bool]
    parameters: int
    divergence: float
    minutes: float = 0.0
    steps: int = 0
    rate: float = 0.0
    optimizer: str = ADAMW


@dataclass(frozen=True)
class Subject:
    """A model, what it is calibrated on, learns from and is compared on, and its yardstick: which questions the GGUF
    file of one of its sizes gets right."""

    name: str
    checkpoint: Path
    calibration: list[Example]
    lessons: Path
    compared: list[Example]
    asked: Callable[[Path], list[bool]]


def of_guide(given: argparse.Namespace) -> Subject:
    """Conversations of the recipe's corpus; the first 4000 are not learned from."""
    folder, count = given.folder, (given.steps or STEPS["guide"]) * given.batch
    with (given.corpus / "train.jsonl").open(encoding="utf-8") as lines:
        first = list(islice(lines, count + 4000))
    files = {f"learn-{count}": first[4000:], "calibration": first[:4000], "compared": first[4000 - COMPARED : 4000]}
    for name, rows_of in files.items():
        (folder / f"{name}.jsonl").write_text("".join(rows_of), encoding="utf-8")
    tokenizer = torch_model.tokenizer(GUIDE)
    text = Text("calibration", read(folder / "calibration.jsonl").documents)
    compared = Turns(tokenizer, 1024).examples(rows.read([folder / "compared.jsonl"]))
    calibration = examples([text], tokenizer, context=CONTEXT, most=CALIBRATION)

    def asked(gguf: Path) -> list[bool]:
        from recipes.guide.evaluate import ask, running
        from recipes.guide.evaluate import read as questions

        records = questions(GUIDE / YARDSTICK)
        chosen = records[:: max(1, len(records) // given.limit)] if given.limit else records
        with running(gguf, SLOTS, given.threads) as engine:
            return [each.right for each in ask(engine, chosen, SLOTS)]

    return Subject("guide", GUIDE, calibration, folder / f"learn-{count}.jsonl", compared, asked)


def of_second(given: argparse.Namespace) -> Subject:
    """Pieces of what it was trained on; it is compared on what was held out of that."""
    second = Second(given.second)
    documents, apart = second_text.split(second_text.documents())
    pieces = [each[at : at + PIECE] for each in documents for at in range(0, len(each), PIECE)]
    lessons = given.folder / "second.jsonl"
    lines = [json.dumps({"text": each}, ensure_ascii=False) for each in pieces if each.strip()]
    lessons.write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = torch_model.tokenizer(second.folder)
    seen = Text("calibration", tuple(map(Document, documents)))
    held = Text("held out", tuple(map(Document, apart)))
    calibration, compared = (
        examples([text], tokenizer, context=CONTEXT, most=most)
        for text, most in ((seen, CALIBRATION), (held, COMPARED))
    )

    def asked(gguf: Path) -> list[bool]:
        from penjing.shrink.evaluate.engine import Engine

        with Engine(gguf) as engine:
            return [bool(each) for each in second.task.points(engine, lambda share: None)]

    return Subject("second", second.folder, calibration, lessons, compared, asked)


def ours(one: Subject, target: Path) -> None:
    done = prune(one.checkpoint, target, PruneOptions(ratio=RATIO), one.calibration)
    for each in done.tried:
        print("tried", each, file=sys.stderr)


def dependencies(model: Any) -> Any:
    """torch-pruning's graph of what goes together."""
    import torch
    import torch_pruning as tp

    class Norm(tp.pruner.function.BasePruningFunc):  # type: ignore[misc]  # the library has no types
        """RMSNorm, which the library does not know."""

        def prune_out_channels(self, layer: Any, idxs: list[int]) -> Any:
            stays = sorted(set(range(layer.weight.numel())) - set(idxs))
            layer.weight = torch.nn.Parameter(layer.weight.data[stays])
            return layer

        prune_in_channels = prune_out_channels

        def get_out_channels(self, layer: Any) -> int:
            return int(layer.weight.numel())

        get_in_channels = get_out_channels

    return tp.DependencyGraph().build_dependency(
        model,
        example_inputs={"input_ids": torch.zeros(1, 16, dtype=torch.long), "use_cache": False},
        customized_pruners={type(model.model.norm): Norm()},
        forward_fn=lambda whole, given: whole(**given).logits,
    )


def peer(one: Subject, parameters: int, target: Path) -> None:
    """Of each layer the channels that torch-pruning ranks highest, so many that `parameters` are left or a few more."""
    import torch
    import torch_pruning as tp

    loaded = torch_model.load(one.checkpoint)
    model, anatomy = loaded.model, Anatomy(loaded.model)
    graph = dependencies(model)
    for batch in looked(one.calibration, 8):
        logits = model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits
        chosen = batch.labels != IGNORED
        torch.nn.functional.cross_entropy(logits[chosen].float(), batch.labels[chosen], reduction="sum").backward()
    ranking = tp.importance.GroupTaylorImportance()
    inner = anatomy.inner - (loaded.parameters - parameters) // (MATRICES * anatomy.hidden * anatomy.layers)
    inner_kept = []
    for layer in range(anatomy.layers):
        gate = model.model.layers[layer].mlp.gate_proj
        group = graph.get_pruning_group(gate, tp.prune_linear_out_channels, idxs=list(range(anatomy.inner)))
        inner_kept.append(ranking(group).argsort()[anatomy.inner - inner :].sort().values)
    layers = range(anatomy.layers)
    heads = (torch.arange(anatomy.groups),) * anatomy.layers
    kept = Kept(tuple(layers), torch.arange(anatomy.hidden), tuple(inner_kept), heads)
    made = torch_model.TorchModel(one.checkpoint, cut(anatomy, kept), loaded.tokenizer, loaded.dtype)
    torch_model.save(made, target, Step("prune", {"criterion": "torch-pruning GroupTaylorImportance", "inner": inner}))


def last_step(model: Path) -> dict[str, Any]:
    """What the manifest says of the last thing that was done to the model; nothing where it has none."""
    file = model / manifest.NAME
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    steps: list[dict[str, Any]] = told.get("recipe", {}).get("steps", [{}])
    return steps[-1]


def recovered(one: Subject, source: Path, given: argparse.Namespace, folder: Path) -> Path:
    """Of what `source` becomes in each way, the one with the lowest held-out loss."""
    short = source.name.split("-")[0]
    made = []
    for optimizer, rate in ways(one.name, given):
        name = f"{short}-{STAGES[1]}-{'' if optimizer == ADAMW else f'{optimizer}-'}{rate:g}"
        made.append(once(folder / name, partial(learned, one, source, given, optimizer, rate)))
    return min(made, key=lambda each: float(last_step(each)["found"]["after"]))


def ways(name: str, given: argparse.Namespace) -> list[tuple[str, float]]:
    """Optimizers and rates that the model `name` is distilled with."""
    return [(each.split(":")[0], float(each.split(":")[1])) for each in given.ways or WAYS[name]]


def learned(one: Subject, source: Path, given: argparse.Namespace, optimizer: str, rate: float, target: Path) -> None:
    from penjing.shrink.checkpoints import Checkpoints
    from penjing.shrink.distill.options import Distilling
    from penjing.shrink.distill.run import distill
    from penjing.shrink.finetune.attempt import states

    options = Distilling(
        steps=given.steps or STEPS[one.name], rate=rate, optimizer=optimizer, batch=given.batch, mix=given.mix,
        warmup=0.1, look_every=100, save_every=25, held_out=0.02, patience=0, precision="bf16",
    )  # fmt: skip
    begun = bool(Checkpoints(states(target)).all())
    done = distill(source, [one.lessons], target, options, teacher=one.checkpoint, resume=begun)
    print(f"{target.name}: {done.before} -> {done.after}, {done.outcome.state.tokens} learned tokens", file=sys.stderr)


def answered(one: Subject, model: Path, given: argparse.Namespace) -> Answered:
    """The model in `model` on the yardstick; kept in the work folder, so that it is asked only once."""
    from penjing.export.gguf.convert import convert

    kept = given.folder / f"{one.name}-{model.name}.{given.limit}.json"
    if not kept.is_file():
        gguf = given.folder / f"{one.name}-{model.name}.gguf"
        gguf.unlink(missing_ok=True)
        convert(model, gguf, 16)
        loaded, parent = torch_model.load(model), torch_model.load(one.checkpoint)
        apart = divergence(parent.model, loaded.model, looked(one.compared, 16))
        told = last_step(model).get("options", {})
        how = (minutes(model), told.get("steps", 0), told.get("rate", 0.0), told.get("optimizer", ADAMW))
        found = Answered(one.asked(gguf), loaded.parameters, apart, *how)
        kept.write_text(json.dumps(vars(found)))
    return Answered(**json.loads(kept.read_text()))


def once(target: Path, make: Callable[[Path], None]) -> Path:
    """`target`, and beside it how many minutes of a core it took."""
    if not target.exists():
        began = time.monotonic(), time.process_time()
        make(target)
        took = time.monotonic() - began[0], time.process_time() - began[1]
        noted(target).write_text(str(took[1] / 60))
        print(f"{target.name}: {took[0]:.0f} s, {took[1]:.0f} s of processor time", file=sys.stderr)
    return target


def noted(target: Path) -> Path:
    """Beside it; its name may end in a rate, which has a point."""
    return target.with_name(f"{target.name}.minutes")


def minutes(target: Path) -> float:
    """Of a core, that making it took; 0 for what was there."""
    kept = noted(target)
    return float(kept.read_text()) if kept.is_file() else 0.0


def points(parent: Answered, child: Answered) -> tuple[float, float, float]:
    """Accuracy lost, in points, with its 95 % interval."""
    import numpy as np

    from penjing.shrink.evaluate.statistics import estimate

    found = estimate(np.array(parent.right, float) - np.array(child.right, float))
    return found.value * 100, found.low * 100, found.high * 100


def measured(one: Subject, given: argparse.Namespace) -> dict[str, Answered]:
    """The parent, and of each side what is pruned and what is distilled of that."""
    folder = given.folder / one.name
    folder.mkdir(parents=True, exist_ok=True)
    found = {"parent": answered(one, one.checkpoint, given)}
    for side, short in SHORT.items():
        pruned = folder / f"{short}-{STAGES[0]}"
        if side == OURS:
            once(pruned, partial(ours, one))
        else:
            once(pruned, partial(peer, one, found[f"{SHORT[OURS]}-{STAGES[0]}"].parameters))
        found[pruned.name] = answered(one, pruned, given)
        found[f"{short}-{STAGES[1]}"] = answered(one, recovered(one, pruned, given, folder), given)
    return found


def lines_of(name: str, found: dict[str, Answered], words: dict[str, str]) -> list[str]:
    """Rows of the table."""
    parent = found["parent"]
    right = sum(parent.right) / len(parent.right)
    lines = [f"| {name} | {parent.parameters / 1e6:.2f} M | {right:.1%} | | 0 |"]
    for side, short in SHORT.items():
        for stage in STAGES:
            child = found[f"{short}-{stage}"]
            lost, low, high = points(parent, child)
            right = sum(child.right) / len(child.right)
            gone = 1 - child.parameters / parent.parameters
            cells = (
                words[stage].format(model=name, name=side, rate=child.rate, optimizer=child.optimizer),
                f"-{gone:.1%}",
                f"{right:.1%}",
            )
            lines.append(f"| {' | '.join(cells)} | {lost:.2f} ({low:.2f} … {high:.2f}) | {child.divergence:.4f} |")
    return lines


def table(everything: dict[str, dict[str, Answered]], given: argparse.Namespace, language: str) -> str:
    """As it stands in the docs."""
    words, asked, took, lines, back = WORDS[language], [], [], [], []
    comma = words["list"]
    for name, found in everything.items():
        lines += lines_of(name, found, words)
        last = found[f"{SHORT[OURS]}-{STAGES[1]}"]
        tried = [words["way"].format(optimizer=each, rate=f"{rate:g}") for each, rate in ways(name, given)]
        took.append(words["took"].format(model=name, steps=last.steps, minutes=last.minutes, ways=comma.join(tried)))
        asked.append(words["asked"].format(model=name, questions=len(found["parent"].right)))
        for side, short in SHORT.items():
            before, after = (found[f"{short}-{stage}"].divergence for stage in STAGES)
            back += ["", words["back"].format(model=name, name=side, back=1 - after / before)]
    facts = {**page.machine(), "batch": given.batch}
    how = words["how"].format(**facts, asked=words["comma"].join(asked), minutes=words["semicolon"].join(took))
    return "\n".join([words["title"], "", how, "", words["head"], "|---|---|---|---|---|", *lines, *back])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--second", type=Path, help="the folder of the second yardstick model itself")
    parser.add_argument("--only", choices=("guide", "second"))
    parser.add_argument("--steps", type=int, default=0, help=f"of distilling, 0: {STEPS}")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--ways", nargs="+", metavar="OPTIMIZER:RATE", help=f"where not given: {WAYS}")
    parser.add_argument("--mix", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=0, help="about so many of the guide's questions, 0: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into docs/{en,zh}/prune.md and distill.md")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))  # for the recipe's questions and judge
    extra.require()  # which keeps its threads from spinning
    import torch

    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    makers = {"guide": of_guide, **({"second": of_second} if given.second else {})}
    found = {name: measured(make(given), given) for name, make in makers.items() if given.only in (None, name)}
    print(table(found, given, "en"))
    if given.write:
        for name in ("prune", "distill"):
            page.write("bench/prune.py", {each: table(found, given, each) for each in WORDS}, name)


if __name__ == "__main__":
    main()
