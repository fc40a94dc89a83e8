"""What checkpoints in few bits lose, and what they take (`penjing quantize --to torch-...`).

    .venv-all/bin/python bench/torch_bits.py [--second FOLDER] [--write]

Of the built-in model, and with `--second` of the model in that folder (`second_model.py`): bytes of tensors, and KL
from the original on text that neither was calibrated on, computed by torch as a training would. Nothing in it is drawn
by chance, so it runs once.

Does not know: how a form is kept.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import page
from penjing.files import human
from penjing.shrink.texts.known import HELD_OUT, builtin, texts
from penjing.shrink.texts.text import Text
from penjing.shrink.torch_bits import forms, loss
from penjing.shrink.torch_bits.write import quantize
from penjing.store.resolve import guide

SAID = {
    "en": "`bench/torch_bits.py` on {cpu}: all tensors of a model, embedding and head included; KL from the original "
    "in nats a token of {windows} held-out windows of {context} tokens.\n\n"
    "| model | form | tensors | become | KL |\n|---|---|--:|--:|--:|",
    "zh": "`bench/torch_bits.py`，{cpu}：一个模型的全部张量，含嵌入与输出头；"
    "KL 为 {windows} 个 {context} 词元的留出窗口上与原模型的差距，单位为每词元奈特。\n\n"
    "| 模型 | 形式 | 张量 | 变为 | KL |\n|---|---|--:|--:|--:|",
}


def rows(name: str, source: Path, held: Sequence[Text], folder: Path) -> Iterator[str]:
    """The same in both languages."""
    for form in forms.WRITTEN:

        def measured(made: Path, form: str = form) -> float:
            return loss.lost(source, form, held, made)

        done = quantize(source, folder / f"{name}-{form}", form, measured=measured)
        yield f"| {name} | `torch-{form}` | {human(done.before)} | {human(done.after)} | {done.kl:.4f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--second", type=Path, help="the folder of the second yardstick model itself")
    parser.add_argument("--write", action="store_true", help="put the table into docs/{en,zh}/quantize.md")
    given = parser.parse_args()
    subjects = {"guide": (guide().parent, builtin(HELD_OUT))}
    if given.second:
        subjects["second"] = (given.second, texts(str(given.second / "heldout.txt")))
    table = []
    with tempfile.TemporaryDirectory() as place:
        for name, (source, held) in subjects.items():
            for row in rows(name, source, held, Path(place)):
                table.append(row)
                print(row, flush=True)
    if given.write:
        facts = {**page.machine(), "windows": loss.WINDOWS, "context": loss.CONTEXT}
        told = {each: "\n".join([said.format(**facts), *table]) for each, said in SAID.items()}
        page.write("bench/torch_bits.py", told, "quantize")


if __name__ == "__main__":
    main()
