"""What removing 30 % of a model's parameters costs, and how much of that distillation brings back: penjing's criterion
against first-order Taylor (Torch-Pruning's GroupTaylorImportance, the criterion of LLM-Pruner), on the built-in guide.

    python -m recipes.guide.corpus --output CORPUS
    .venv-all/bin/python bench/prune.py --corpus CORPUS --folder WORK [--steps 300] [--limit 600] [--write]

Both sides cut the feed-forward channels of every layer to the same width, see the same calibration examples, and learn
from the same examples for the same number of steps. torch-pruning's dependency graph finds the groups and its
importance ranks them; cutting a whole model with grouped queries by it never ends (seen with 1.6), so that the channels
that it ranks lowest are cut by penjing's own slicer, without repair. Models that are in WORK are not made again.

Questions: the guide's yardstick, answered greedily by llama.cpp. Differences are paired, with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import page
from penjing.probe.checkpoint import load_json
from penjing.shrink import torch_model
from penjing.shrink.divergence import divergence
from penjing.shrink.examples import examples
from penjing.shrink.finetune import rows
from penjing.shrink.finetune.turns import Turns
from penjing.shrink.lineage import Step
from penjing.shrink.packing import IGNORED, Example, looked
from penjing.shrink.prune.anatomy import Anatomy
from penjing.shrink.prune.cut import Kept, cut
from penjing.shrink.prune.prune import PruneOptions, prune
from penjing.shrink.texts.read import read
from penjing.shrink.texts.text import Text

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "src" / "penjing" / "data" / "guide"
YARDSTICK = "yardstick.jsonl"
RATIO = 0.3
CALIBRATION, CONTEXT, COMPARED = 160, 256, 400
SLOTS = 4
"""Questions at once: few, so that none times out on a busy machine."""
OURS, PEER = "penjing", "Taylor (torch-pruning)"
SHORT = {OURS: "ours", PEER: "peer"}
STAGES = ("pruned", "distilled")
WORDS = {
    "en": {
        "title": "## Figures",
        "head": "| model | parameters | right | points lost (95 %) | KL from the guide, nats a token |",
        "parent": "guide",
        "pruned": "{name}, pruned",
        "distilled": "{name}, distilled",
        "back": "{name}: {back:.0%} of the divergence that pruning cost came back.",
        "how": "{questions} questions of the guide's yardstick; distilled for {steps} steps of {batch} conversations.",
    },
    "zh": {
        "title": "## 数据",
        "head": "| 模型 | 参数 | 答对 | 损失的百分点（95 %） | 与 guide 的 KL，nat/token |",
        "parent": "guide",
        "pruned": "{name}，剪枝后",
        "distilled": "{name}，蒸馏后",
        "back": "{name}：剪枝造成的散度恢复了 {back:.0%}。",
        "how": "guide 尺规中的 {questions} 个问题；蒸馏 {steps} 步，每步 {batch} 段对话。",
    },
}


@dataclass(frozen=True)
class Answered:
    """One model on the yardstick: which questions it got right, and its divergence from the parent in nats."""

    right: list[bool]
    parameters: int
    divergence: float


def corpus(model: Path, path: Path, folder: Path, count: int) -> tuple[Path, list[Example], list[Example]]:
    """A file of `count` conversations to learn from; of others, calibration windows and conversations to compare on."""
    with (path / "train.jsonl").open(encoding="utf-8") as lines:
        first = list(islice(lines, count + 4000))
    learned = folder / f"learn-{count}.jsonl"
    learned.write_text("".join(first[4000:]), encoding="utf-8")
    apart = folder / "calibration.jsonl"
    apart.write_text("".join(first[:4000]), encoding="utf-8")
    text = Text("calibration", read(apart).documents)
    tokenizer = torch_model.tokenizer(model)
    last = folder / "compared.jsonl"
    last.write_text("".join(first[4000 - COMPARED : 4000]), encoding="utf-8")
    compared = Turns(tokenizer, 1024).examples(rows.read([last]))
    return learned, examples([text], tokenizer, context=CONTEXT, most=CALIBRATION), compared


def ours(model: Path, target: Path, calibration: Sequence[Example]) -> None:
    done = prune(model, target, PruneOptions(ratio=RATIO), calibration)
    for each in done.tried:
        print("tried", each, file=sys.stderr)


def peer(source: Path, target: Path, calibration: Sequence[Example], inner: int) -> None:
    """The `inner` channels of each layer that torch-pruning ranks highest."""
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

    loaded = torch_model.load(source)
    model, anatomy = loaded.model, Anatomy(loaded.model)
    graph = tp.DependencyGraph().build_dependency(
        model,
        example_inputs={"input_ids": torch.zeros(1, 16, dtype=torch.long), "use_cache": False},
        customized_pruners={type(model.model.norm): Norm()},
        forward_fn=lambda whole, given: whole(**given).logits,
    )
    for batch in looked(calibration, 8):
        logits = model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits
        chosen = batch.labels != IGNORED
        torch.nn.functional.cross_entropy(logits[chosen].float(), batch.labels[chosen], reduction="sum").backward()
    ranking = tp.importance.GroupTaylorImportance()
    inner_kept = []
    for layer in range(anatomy.layers):
        gate = model.model.layers[layer].mlp.gate_proj
        group = graph.get_pruning_group(gate, tp.prune_linear_out_channels, idxs=list(range(anatomy.inner)))
        inner_kept.append(ranking(group).argsort()[anatomy.inner - inner :].sort().values)
    layers = range(anatomy.layers)
    kept = Kept(tuple(layers), torch.arange(anatomy.hidden), tuple(inner_kept), (torch.arange(anatomy.groups),) * 6)
    made = torch_model.TorchModel(source, cut(anatomy, kept), loaded.tokenizer, loaded.dtype)
    torch_model.save(made, target, Step("prune", {"criterion": "torch-pruning GroupTaylorImportance", "inner": inner}))


def recovered(source: Path, target: Path, data: Path, given: argparse.Namespace) -> None:
    from penjing.shrink.distill.options import Distilling
    from penjing.shrink.distill.run import distill
    from penjing.shrink.finetune.attempt import states

    options = Distilling(
        steps=given.steps, rate=given.rate, batch=given.batch, mix=given.mix, warmup=0.1, look_every=100,
        save_every=25, held_out=0.02, patience=0, precision="bf16",
    )  # fmt: skip
    begun = states(target).is_dir()
    done = distill(source, [data], target, options, teacher=given.model, resume=begun)
    print(f"{target.name}: {done.before} -> {done.after}, {done.outcome.state.tokens} learned tokens", file=sys.stderr)


def answered(model: Path, given: argparse.Namespace, compared: Sequence[Example]) -> Answered:
    """The model in `model` on the yardstick; kept in the work folder, so that it is asked only once."""
    folder, limit = given.folder, given.limit
    from recipes.guide.evaluate import ask, running
    from recipes.guide.evaluate import read as questions

    from penjing.export.gguf.convert import convert

    loaded, parent = torch_model.load(model), torch_model.load(given.model)
    apart = divergence(parent.model, loaded.model, looked(compared, 16))
    kept = folder / f"{model.name}.{limit}.json"
    if kept.is_file():
        return Answered(json.loads(kept.read_text())["right"], loaded.parameters, apart)
    gguf = folder / f"{model.name}.gguf"
    convert(model, gguf, 16)
    records = questions(given.model / YARDSTICK)
    with running(gguf, SLOTS, given.threads) as engine:
        outcomes = ask(engine, records[:: max(1, len(records) // limit)] if limit else records, SLOTS)
    found = Answered([each.right for each in outcomes], loaded.parameters, apart)
    kept.write_text(json.dumps(vars(found)))
    return found


def once(target: Path, make: Callable[[], None]) -> Path:
    if not target.exists():
        began = time.monotonic(), time.process_time()
        make()
        took = time.monotonic() - began[0], time.process_time() - began[1]
        print(f"{target.name}: {took[0]:.0f} s, {took[1]:.0f} s of processor time", file=sys.stderr)
    return target


def points(parent: Answered, child: Answered) -> tuple[float, float, float]:
    """Accuracy lost, in points, with its 95 % interval."""
    import numpy as np

    from penjing.shrink.evaluate.statistics import estimate

    found = estimate(np.array(parent.right, float) - np.array(child.right, float))
    return found.value * 100, found.low * 100, found.high * 100


def table(found: dict[str, Answered], given: argparse.Namespace, language: str) -> str:
    """As it stands in the docs."""
    words, parent = WORDS[language], found["parent"]
    told = {"questions": len(parent.right), "steps": given.steps, "batch": given.batch}
    right = sum(parent.right) / len(parent.right)
    lines = [words["title"], "", words["how"].format(**told), "", words["head"], "|---|---|---|---|---|"]
    lines.append(f"| {words['parent']} | {parent.parameters / 1e6:.2f} M | {right:.1%} | | 0 |")
    for name, short in SHORT.items():
        for stage in STAGES:
            child = found[f"{short}-{stage}"]
            lost, low, high = points(parent, child)
            right = sum(child.right) / len(child.right)
            gone = 1 - child.parameters / parent.parameters
            cells = (
                words[stage].format(name=name),
                f"-{gone:.1%}",
                f"{right:.1%}",
                f"{lost:.2f} ({low:.2f} … {high:.2f})",
            )
            lines.append(f"| {' | '.join(cells)} | {child.divergence:.4f} |")
    for name, short in SHORT.items():
        before, after = (found[f"{short}-{stage}"].divergence for stage in STAGES)
        lines += ["", words["back"].format(name=name, back=1 - after / before)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=GUIDE, help="a checkpoint with a yardstick.jsonl")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--mix", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=0, help="about so many questions, 0: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into docs/{en,zh}/prune.md and distill.md")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))  # for the recipe's questions and judge
    import torch

    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    learned, calibration, compared = corpus(given.model, given.corpus, given.folder, given.steps * given.batch)
    found: dict[str, Answered] = {}
    pruned = once(given.folder / "ours-pruned", lambda: ours(given.model, given.folder / "ours-pruned", calibration))
    inner = int(load_json(pruned / "config.json")["intermediate_size"])
    once(given.folder / "peer-pruned", lambda: peer(given.model, given.folder / "peer-pruned", calibration, inner))
    found["parent"] = answered(given.model, given, compared)
    for short in SHORT.values():
        source, target = given.folder / f"{short}-pruned", given.folder / f"{short}-distilled"
        found[source.name] = answered(source, given, compared)
        once(target, lambda source=source, target=target: recovered(source, target, learned, given))  # type: ignore[misc]
        found[target.name] = answered(target, given, compared)
    print(table(found, given, "en"))
    if given.write:
        for name in ("prune", "distill"):
            page.write("bench/prune.py", {each: table(found, given, each) for each in WORDS}, name)


if __name__ == "__main__":
    main()
