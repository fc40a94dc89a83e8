"""The target `coreml`, for iPhones, iPads and Macs (iOS 18, macOS 15).

Does not know: how a decoder computes, how an export is compared with its parent.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from penjing.export import manner, starters
from penjing.export.coreml import names
from penjing.export.starters import Facts, State, Tensor
from penjing.export.target import Options
from penjing.files import write_whole
from penjing.progress import Progress, Report, silent, span

if TYPE_CHECKING:
    from penjing.export.coreml.package import Written
    from penjing.export.coreml.runtime import Conversation
    from penjing.export.coreml.verify import Weights

PACKAGE, ABOUT = "model.mlpackage", "coreml.json"
TOKENIZER = ("config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json", "chat_template*")
"""What swift-transformers' `AutoTokenizer.from(modelFolder:)` reads, and what ends an answer."""


class CoreML:
    """`model.mlpackage` with its cache as state, and what a tokenizer needs beside it."""

    name: ClassVar[str] = "coreml"
    extra: ClassVar[str] = "coreml"
    packages: ClassVar[tuple[str, ...]] = ("torch", "coremltools", "transformers")
    precisions: ClassVar[Mapping[str, float]] = {"int8": 8.0, "fp16": 16.0, "int4": 4.5, "pal4": 4.1, "pal6": 6.1}
    takes: ClassVar[Literal["checkpoint", "gguf"]] = "checkpoint"
    uses: ClassVar[tuple[str, ...]] = ("context", "calibration", "sequence")

    def write(self, model: Path, output: Path, options: Options, report: Report | None = None) -> list[Path]:
        """The package, the tokenizer's files, `coreml.json` and starters. Raises ModelError, NotAText, TextTooShort,
        DiskFull, and what `report` raises."""
        from penjing.export.coreml import package

        heard = report or silent
        made = package.write(model, output / PACKAGE, options, span(heard, 0, 0.95))
        heard(Progress(0.95, "writing"))
        for pattern in TOKENIZER:
            for path in sorted(model.glob(pattern)):
                shutil.copyfile(path, output / path.name)
        told = facts(model, options, made)
        write_whole(output / ABOUT, about(told, made.weights))
        if options.starter:
            starters.write(told, output)
        return sorted(path for path in output.rglob("*") if path.is_file())

    def reload(self, output: Path) -> Conversation:
        """The package, run by the reference interpreter. Raises NotAProgram, UnknownOperation."""
        from penjing.export.coreml.runtime import Conversation

        return Conversation(output / PACKAGE)


def facts(model: Path, options: Options, made: Written) -> Facts:
    """What the starters are filled with. Raises ModelError."""
    shape, steps = made.shape, options.sequence
    new, seen = (steps, made.room) if steps else ("sequence", "seen")
    size = (shape.layers, 1, shape.kv_heads, made.room, shape.head)
    cached = [Tensor(name, size, "float16") for name in (names.KEYS, names.VALUES)]
    inputs = {"ids": Tensor(names.IDS, (1, new), "int32"), "mask": Tensor(names.FULL, (1, 1, new, seen), "float16")}
    if any(shape.sliding):
        inputs["sliding"] = Tensor(names.SLIDING, (1, 1, new, seen), "float16")
    if steps:
        inputs["position"] = Tensor(names.POSITION, (1,), "int32")
    return Facts(
        target=CoreML.name,
        model=options.name,
        precision=options.precision,
        files={"model": PACKAGE, "tokenizer": "tokenizer.json", "about": ABOUT},
        inputs=inputs,
        outputs={"logits": Tensor(names.LOGITS, (1, new, made.vocabulary), "float16")},
        state=tuple(State(each, each) for each in cached),
        vocabulary=made.vocabulary,
        context=made.context,
        manner=manner.read(model),
        more={"window": shape.window, "steps": steps},
    )


def about(told: Facts, weights: Weights) -> bytes:
    """`coreml.json`: what an app must know about the package, and how far its weights are from the parent's."""
    said = {
        "model": told.model,
        "precision": told.precision,
        "context": told.context,
        "vocabulary": told.vocabulary,
        "sequence": told.more["steps"],
        "sliding_window": told.more["window"],
        "inputs": [asdict(each) for each in told.inputs.values()],
        "outputs": [asdict(each) for each in told.outputs.values()],
        "states": [asdict(each.given) for each in told.state],
        "before": told.manner.before,
        "after": told.manner.after,
        "end_tokens": told.manner.end_tokens,
        "weights": asdict(weights),
    }
    return msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n"
