"""A second yardstick beside the guide, so that nothing is tuned to one model: another network (Qwen3: normed queries
and keys, a head of its own), another tokenizer, other text (`second_text`), trained here in minutes.

    python bench/second_model.py FOLDER

makes FOLDER/second-DIGEST with the checkpoint, `heldout.txt`, and `passages.jsonl`: held-out passages cut before a
word, with four words to choose from. The digest is of the text and of everything that shapes the model; what is there
is not made again. A run that was stopped begins anew. Needs torch and transformers.

Does not know: what is done to the model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import page
import second_text
from penjing.export.gguf.pretokenizer import LLAMA3

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from recipes.guide.run import Plan as Rates
    from tokenizers import Encoding, Tokenizer

    from penjing.shrink.evaluate.engine import Engine

END = "<|endoftext|>"
PLAN = "plan.json"
PASSAGES = "passages.jsonl"
FORM = 2
"""Of what is made; higher when the code makes something else of the same plan."""
WORDS = {"en": re.compile(r"Ġ[a-z]{4,}"), "zh": re.compile(r"[\u4e00-\u9fff]{2,}")}
"""Tokens that are asked for, by language."""
QUESTIONS = {"en": 1800, "zh": 1200}
BEFORE = 96
"""Tokens before the word, at most; a third of it at least."""
CHOICES = 4
NEIGHBOURS = 40
"""Wrong words are taken from so many that are about as frequent as the right one."""


@dataclass(frozen=True)
class Plan:
    """Everything that shapes the model."""

    steps: int = 600
    vocab: int = 4096
    hidden: int = 256
    ffn: int = 1024
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    rows: int = 8
    context: int = 256
    rate: float = 3e-3
    matrix_rate: float = 1.5e-2
    seed: int = 7


@dataclass(frozen=True)
class Second:
    """What was made."""

    folder: Path

    @property
    def heldout(self) -> str:
        return (self.folder / "heldout.txt").read_text(encoding="utf-8")

    @property
    def questions(self) -> list[dict[str, Any]]:
        """`prompt`, `choices` (each goes on right after the prompt), `answer` (the index of the right one), `lang`."""
        lines = (self.folder / PASSAGES).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @property
    def task(self) -> Cloze:
        return Cloze(tuple(self.questions))


@dataclass(frozen=True)
class Cloze:
    """The questions as a task of `penjing.shrink.evaluate`: a point where the right word is the likeliest of the
    choices."""

    questions: tuple[dict[str, Any], ...]
    name: str = "second"
    metric: str = "choice of the next word"

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.questions).encode()).hexdigest()

    def points(self, engine: Engine, told: Callable[[float], None]) -> NDArray[np.float64]:
        """Of each question 0 or 1."""
        prompts = [engine.begun(engine.tokenize(each["prompt"], special=False)) for each in self.questions]
        found = np.zeros(len(prompts))
        by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))  # one context for each length
        for done, number in enumerate(by_length):
            told(done / len(prompts))
            tokens = np.array(prompts[number], np.int32)
            after = engine.logits(tokens, np.arange(len(tokens)) == len(tokens) - 1)[0]
            asked = self.questions[number]
            words = [engine.tokenize(choice, special=False)[0] for choice in asked["choices"]]
            found[number] = int(np.argmax(after[words])) == asked["answer"]
        return found


def second_model(folder: Path, plan: Plan | None = None, threads: int = 2) -> Second:
    """The model of `plan` under `folder`; made where it is not there. A `folder` that holds one is that one."""
    from penjing.shrink.output import whole_folder

    if (folder / PLAN).is_file():
        return Second(folder)
    plan = plan or Plan()
    texts = second_text.documents()
    said = json.dumps({**asdict(plan), "form": FORM, "text": second_text.digest(texts)}, sort_keys=True)
    target = folder / f"second-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
    if not target.exists():
        with whole_folder(target) as unfinished:
            _make(unfinished, plan, texts, threads)
            (unfinished / PLAN).write_text(said + "\n", encoding="utf-8")
    return Second(target)


def _make(folder: Path, plan: Plan, texts: list[str], threads: int) -> None:
    learned, held = second_text.split(texts)
    tokenizer = train_tokenizer(learned, plan)
    save_tokenizer(tokenizer, folder, plan)
    (folder / "heldout.txt").write_text("\n\n".join(held) + "\n", encoding="utf-8")
    asked = questions(tokenizer, learned, held, plan.seed)
    lines = [json.dumps(each, ensure_ascii=False) for each in asked]
    (folder / PASSAGES).write_text("\n".join(lines) + "\n", encoding="utf-8")
    model, facts = train(tokenizer, learned, held, plan, threads)
    model.save_pretrained(folder)
    (folder / "run.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def train_tokenizer(texts: list[str], plan: Plan) -> Tokenizer:
    """Byte-level BPE that splits as Llama 3's does; the guide's splits as Qwen 2's."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), letters])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=plan.vocab - 1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, plan: Plan) -> None:
    """As transformers and penjing read it."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": END,
        "model_max_length": plan.context,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def train(
    tokenizer: Tokenizer, learned: list[str], held: list[str], plan: Plan, threads: int
) -> tuple[Any, dict[str, Any]]:
    """A transformers model in bf16, and what is known of its training."""
    import torch
    import transformers

    sys.path.append(str(page.ROOT))
    from recipes.guide.run import Plan as Rates
    from recipes.guide.run import optimizers

    torch.manual_seed(plan.seed)
    torch.set_num_threads(threads)
    end = tokenizer.get_vocab()[END]
    model = transformers.Qwen3ForCausalLM(_config(plan, end))
    rates = Rates("", "", "", 0.0, rate=plan.rate, matrix_rate=plan.matrix_rate)
    steps = optimizers(model, rates)
    stream, chance = _ids(tokenizer, learned, end), random.Random(plan.seed)
    begun, clock, smooth = time.process_time(), time.monotonic(), 0.0
    for step in range(plan.steps):
        loss = _step(model, steps, _batch(stream, plan, chance), step / plan.steps, rates)
        smooth = 0.98 * smooth + 0.02 * loss if step else loss
        if step % 25 == 0:
            print(f"step {step} of {plan.steps}, loss {smooth:.3f}", flush=True)
    model = model.to(torch.bfloat16).eval()
    facts = {
        "parameters": sum(each.numel() for each in model.parameters()),
        "tokens": plan.steps * plan.rows * plan.context,
        "tokens_of_text": len(stream),
        "processor_minutes": round((time.process_time() - begun) / 60, 1),
        "minutes": round((time.monotonic() - clock) / 60, 1),
        "loss": round(smooth, 4),
        "heldout_loss": round(_heldout(model, _ids(tokenizer, held, end), plan), 4),
    }
    return model, facts


def _step(model: Any, steps: list[torch.optim.Optimizer], rows: torch.Tensor, done: float, rates: Rates) -> float:
    """One update after `done` of the time; the loss before it."""
    import torch
    from recipes.guide.run import schedule

    for optimizer in steps:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(done, rates)
    loss = _loss(model, rows)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in steps:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _config(plan: Plan, end: int) -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=plan.vocab,
        hidden_size=plan.hidden,
        intermediate_size=plan.ffn,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.kv_heads,
        head_dim=plan.hidden // plan.heads,
        max_position_embeddings=4 * plan.context,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )


def _ids(tokenizer: Tokenizer, texts: list[str], end: int) -> torch.Tensor:
    """All documents one after another, each with its end."""
    import torch

    found = [[*each.ids, end] for each in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return torch.tensor([number for each in found for number in each])


def _batch(stream: torch.Tensor, plan: Plan, chance: random.Random) -> torch.Tensor:
    import torch

    begins = [chance.randrange(len(stream) - plan.context - 1) for _ in range(plan.rows)]
    return torch.stack([stream[begin : begin + plan.context + 1] for begin in begins])


def _loss(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats of [rows, context + 1] tokens."""
    import torch

    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(rows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


def _heldout(model: Any, stream: torch.Tensor, plan: Plan) -> float:
    import torch

    width = plan.context + 1
    rows = stream[: len(stream) // width * width].view(-1, width)
    with torch.no_grad():
        found = [float(_loss(model, rows[at : at + plan.rows])) for at in range(0, len(rows), plan.rows)]
    return sum(found) / len(found)


def questions(tokenizer: Tokenizer, learned: list[str], held: list[str], seed: int) -> list[dict[str, Any]]:
    """Passages that end before a word which is one token, with wrong words of its language that are about as frequent.
    Each choice is the text that would follow, and is one token there."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    for each in tokenizer.encode_batch(learned, add_special_tokens=False):
        counts.update(each.tokens)
    made: list[dict[str, Any]] = []
    for lang, wanted in QUESTIONS.items():
        ranked = [token for token, _ in counts.most_common() if _is(tokenizer, token, lang)]
        places = {token: rank for rank, token in enumerate(ranked)}
        spots = []
        for document in held:
            found = tokenizer.encode(document, add_special_tokens=False)
            mine = [at for at in range(BEFORE // 3, len(found.ids)) if found.tokens[at] in places]
            spots += [(document, found, at) for at in mine]
        chance.shuffle(spots)
        every = (_question(tokenizer, *spot, ranked, places, chance) for spot in spots)
        made += [{**each, "lang": lang} for each in islice(filter(None, every), wanted)]
    return made


def _question(
    tokenizer: Tokenizer,
    document: str,
    found: Encoding,
    at: int,
    ranked: list[str],
    places: dict[str, int],
    chance: random.Random,
) -> dict[str, Any] | None:
    """None where a choice would be another token after this prompt."""
    right = found.tokens[at]
    first = max(places[right] - NEIGHBOURS, 0)
    near = [other for other in ranked[first : places[right] + NEIGHBOURS] if other != right]
    options = [right, *chance.sample(near, CHOICES - 1)]
    chance.shuffle(options)
    prompt = document[found.offsets[max(at - BEFORE, 0)][0] : found.offsets[at][0]]
    choices = [_text(tokenizer, option) for option in options]
    before = len(tokenizer.encode(prompt).ids)
    ends = [tokenizer.encode(prompt + choice).tokens[before:] for choice in choices]
    if ends != [[option] for option in options]:
        return None
    return {"prompt": prompt, "choices": choices, "answer": options.index(right)}


def _is(tokenizer: Tokenizer, token: str, lang: str) -> bool:
    return WORDS[lang].fullmatch(token if lang == "en" else _text(tokenizer, token)) is not None


def _text(tokenizer: Tokenizer, token: str) -> str:
    return str(tokenizer.decode([tokenizer.token_to_id(token) or 0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    made = second_model(options.folder, threads=options.threads)
    print(made.folder, (made.folder / "run.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
