"""What a person sees of a training run while it goes on: a progress line, the held-out loss, a few answers.

Knows nothing of optimizers or schedules; it only looks.
"""

from __future__ import annotations

import math

import torch

from recipes.guide.pack import Conversation, collate
from recipes.guide.run import Run


def heldout_loss(run: Run, conversations: list[Conversation]) -> float:
    """Mean loss over held-out conversations, one a row."""
    documents = [run.writer.document(c, thinking=False) for c in conversations]
    rows = [[d] for d in documents if len(d.ids) <= 256][:192]
    with torch.no_grad():
        losses = [float(run.loss(collate(rows[i : i + 32], 256, run.writer.pad))) for i in range(0, len(rows) - 31, 32)]
    return sum(losses) / max(1, len(losses))


def answer(run: Run, conversation: Conversation, limit: int = 60) -> tuple[str, str]:
    """The question and the greedy answer to it, by plain recomputation (short samples only)."""
    document = run.writer.document(conversation, thinking=False)
    start = len(document.ids) - 2 - len(conversation.messages[-1].text)
    ids = document.ids[:start]
    with torch.no_grad():
        for _ in range(limit):
            following = int(run.model(torch.tensor([ids]))[0, -1].argmax())
            if following == run.writer.end:
                break
            ids.append(following)
    decode = run.writer.tokenizer.decode
    return decode(conversation.messages[-2].text), decode(ids[start:])


def report(run: Run, loss: float, speed: float) -> None:
    p, left = run.progress, 60 * run.plan.minutes - run.progress.seconds
    print(
        f"{p.seconds / 60:6.1f} min  step {p.steps:6d}  epoch {p.epochs:6.2f}  {p.tokens / 1e6:7.2f} M tokens  "
        f"loss {loss:.4f}  {speed:7.0f} tok/s  left {left / 60:5.1f} min",
        flush=True,
    )


def look(run: Run, heldout: list[Conversation]) -> None:
    """Print held-out loss and a few answers."""
    loss = heldout_loss(run, heldout)
    print(f"  held-out loss {loss:.4f}, perplexity {math.exp(min(loss, 20)):.3f}", flush=True)
    stride = max(1, len(heldout) // 5)
    for conversation in heldout[run.progress.steps % stride :: stride][:5]:
        question, reply = answer(run, conversation)
        print(f"  ? {question!r}\n  > {reply!r}", flush=True)
