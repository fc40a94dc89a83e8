"""Put every held-out question to the guide on the real engine and count what comes back.

The answers come from the GGUF through llama.cpp's server, greedily, several at a time; perplexity comes from the bf16
weights in torch. A second, blind set was written by somebody else and nobody reads what fails in it: only its counts
are reported, never its answers. Writes one JSON report. Knows nothing of training.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.guide.judge import is_refusal, passes, same_call

OUTSIDE = "refusal"
BLIND = Path(__file__).with_name("blind.jsonl")
MAX_TOKENS = 160
Record = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One question, its answer and the verdict: right (key facts present, or refused where it must) and refused."""

    record: Record
    answer: str
    right: bool
    refused: bool


class Engine:
    """Chat completions from one GGUF in this process."""

    def __init__(self, model: Path, slots: int, threads: int) -> None:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_parallel, params.n_ctx = slots, slots * 1024
        params.port, params.verbosity, params.use_jinja = 0, -1, True
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_threads_http = slots + 2
        self.server = xllamacpp.Server(params)
        host, port = self.server.listening_address.split("//")[-1].split(":")
        self.address = (host, int(port))

    def answer(self, messages: list[Record], *, thinking: bool = False) -> str:
        """The greedy answer's visible text. Raises RuntimeError with the engine's words when it refuses the request."""
        body = {
            "messages": messages,
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
            "chat_template_kwargs": {"enable_thinking": thinking},
        }
        reply = self.post("/v1/chat/completions", body)
        if "choices" not in reply:
            raise RuntimeError(f"the engine answered {reply}")
        return str(reply["choices"][0]["message"]["content"] or "")

    def post(self, path: str, body: Record) -> Record:
        """The engine's JSON reply to a JSON request."""
        connection = http.client.HTTPConnection(*self.address, timeout=120)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        reply: Record = json.loads(connection.getresponse().read())
        connection.close()
        return reply


@contextmanager
def running(model: Path, slots: int = 8, threads: int = 2) -> Iterator[Engine]:
    engine = Engine(model, slots, threads)
    try:
        yield engine
    finally:
        del engine.server


def read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def question(record: Record) -> list[Record]:
    """The messages up to the last answer, if there is one, without what only training may see."""
    messages = record["messages"]
    asked = messages[:-1] if messages[-1]["role"] == "assistant" else messages
    return [{"role": m["role"], "content": m["content"]} for m in asked]


def judge(record: Record, answer: str) -> Outcome:
    """Right means: refused, for a question from outside the guide's world; else the key facts present."""
    refused = is_refusal(answer, record["lang"])
    right = refused if record["kind"] == OUTSIDE else passes(answer, record["key"])
    return Outcome(record, answer, right, refused)


def ask(engine: Engine, records: Iterable[Record], slots: int = 8, *, thinking: bool = False) -> list[Outcome]:
    """Every record's outcome, `slots` questions at a time."""
    with ThreadPoolExecutor(slots) as pool:
        return list(pool.map(lambda r: judge(r, engine.answer(question(r), thinking=thinking)), records))


def called(engine: Engine, records: Iterable[Record], slots: int = 8) -> Record:
    """For each language, the share of questions that are answered by the right call of an offered function."""
    rows = [(r["lang"], r["messages"][:2], r["messages"][2]["content"]) for r in records]
    with ThreadPoolExecutor(slots) as pool:
        answers = list(pool.map(lambda row: engine.answer(row[1]), rows))
    right: dict[str, list[bool]] = {}
    for (language, _, wanted), answer in zip(rows, answers, strict=True):
        right.setdefault(language, []).append(same_call(answer, wanted))
    return {one: {"questions": len(each), "right": round(sum(each) / len(each), 4)} for one, each in right.items()}


def share(outcomes: list[Outcome], *, refused: bool = False) -> float | None:
    """Share of right (or refused) outcomes; None when there are none to count."""
    if not outcomes:
        return None
    return round(sum(o.refused if refused else o.right for o in outcomes) / len(outcomes), 4)


def scores(outcomes: list[Outcome]) -> Record:
    """What the card reports, for each language."""
    report: Record = {}
    for language in sorted({o.record["lang"] for o in outcomes}):
        mine = [o for o in outcomes if o.record["lang"] == language]
        inside = [o for o in mine if o.record["kind"] != OUTSIDE]
        outside = [o for o in mine if o.record["kind"] == OUTSIDE]
        kinds = Counter(o.record["kind"] for o in inside)
        report[language] = {
            "questions": len(mine),
            "accuracy": share(inside),
            "accuracy_by_kind": {k: share([o for o in inside if o.record["kind"] == k]) for k in sorted(kinds)},
            "refusals": share(outside, refused=True),
            "false_refusals": share(inside, refused=True),
        }
    return report


def perplexity(checkpoint: Path, tokenizer: Path, records: list[Record]) -> dict[str, float]:
    """exp(mean nats per token) of the held-out last answers for each language, on the bf16-rounded weights."""
    import torch
    from tokenizers import Tokenizer

    from recipes.guide.export import shape_of, weights
    from recipes.guide.model import Guide
    from recipes.guide.pack import Writer

    state = weights(checkpoint)
    model = Guide(shape_of(state))
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    writer = Writer(Tokenizer.from_file(str(tokenizer / "tokenizer.json")))
    nats: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for record in records:
        conversation = writer.conversation(record)
        ids = torch.tensor(writer.document(conversation, thinking=False).ids[:-1])
        first = len(ids) - 1 - len(conversation.messages[-1].text)
        with torch.no_grad():
            logits = model(ids[None, :-1])[0, first - 1 :]
        loss = torch.nn.functional.cross_entropy(logits, ids[first:], reduction="sum")
        nats[record["lang"]] += float(loss)  # type: ignore[assignment]
        count[record["lang"]] += len(ids) - first
    return {language: round(math.exp(nats[language] / count[language]), 4) for language in sorted(count)}


def evaluate(
    model: Path, checkpoint: Path | None, tokenizer: Path, records: list[Record], errors: Path | None
) -> Record:
    """All scores of one model; wrong answers go to `errors` as JSON lines."""
    with running(model) as engine:
        outcomes = ask(engine, records)
        reasoned = [r for r in records if r["messages"][-1].get("reasoning")]
        thinking = ask(engine, reasoned, thinking=True)
    if errors:
        errors.parent.mkdir(parents=True, exist_ok=True)
        wrong = [o for o in outcomes if not o.right or (o.refused and o.record["kind"] != OUTSIDE)]
        lines = [json.dumps({**o.record, "answer": o.answer, "refused": o.refused}, ensure_ascii=False) for o in wrong]
        errors.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report: Record = {"languages": scores(outcomes)}
    if reasoned:
        report["accuracy_when_thinking"] = {"questions": len(reasoned), "accuracy": share(thinking)}
    if checkpoint:
        report["perplexity"] = perplexity(checkpoint, tokenizer, records)
    return report


def blind(model: Path, path: Path) -> Record:
    """Counts over the blind set, with its digest; no question and no answer of it is kept or shown."""
    with running(model) as engine:
        outcomes = ask(engine, read(path))
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "languages": scores(outcomes)}


def early(checkpoint: Path, tokenizer: Path, records: list[Record]) -> Record:
    """The report of an early checkpoint of the same run, exported for the purpose, with how far that run was."""
    import tempfile

    import torch

    from recipes.guide.export import GGUF, export

    progress = torch.load(checkpoint, weights_only=True)["progress"]
    with tempfile.TemporaryDirectory() as folder:
        export(checkpoint, tokenizer, Path(folder), "an early checkpoint")
        return {"progress": progress, **evaluate(Path(folder) / GGUF, checkpoint, tokenizer, records, None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("src/penjing/data/guide/guide.gguf"))
    parser.add_argument("--checkpoint", type=Path, help="torch checkpoint of the same model, for perplexity")
    parser.add_argument("--early", type=Path, nargs="*", default=[], help="early checkpoints to report as well")
    parser.add_argument("--tokenizer", type=Path, default=Path("build/guide/tokenizer"))
    parser.add_argument("--heldout", type=Path, default=Path("src/penjing/data/guide/yardstick.jsonl"))
    parser.add_argument(
        "--blind", type=Path, default=BLIND, help="a set of which only counts are reported, if it exists"
    )
    parser.add_argument("--limit", type=int, help="only this many questions, spread over the set")
    parser.add_argument("--errors", type=Path, help="write wrong answers here")
    parser.add_argument("--output", type=Path, help="write the report here as well as to standard output")
    options = parser.parse_args()
    records = read(options.heldout)
    if options.limit:
        records = records[:: max(1, len(records) // options.limit)]
    report: Record = {"final": evaluate(options.model, options.checkpoint, options.tokenizer, records, options.errors)}
    calls = options.heldout.with_name("calls_heldout.jsonl")
    if calls.exists():
        with running(options.model) as engine:
            report["calls"] = called(engine, read(calls))
    report["early"] = [early(path, options.tokenizer, records) for path in options.early if path.exists()]
    if options.blind.exists():
        report["blind"] = blind(options.model, options.blind)
    text = json.dumps(report, indent=2) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
