"""How a checkpoint is talked to: the words of its chat template around a question, and the tokens that end an answer.

A runtime on a phone has no Jinja, so an export carries what the template puts before and after one question.

Does not know: runtimes, what an export is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.probe.checkpoint import CONFIG, chat_template, load_json
from penjing.shrink.texts.template import TemplateRefuses, render
from penjing.shrink.texts.text import Turn

MARK = "penjing\u2063question"  # an invisible separator, which no template has a reason to change


@dataclass(frozen=True)
class Manner:
    """The model reads `before`, the question and `after` (with the texts of special tokens in them, to be encoded
    without adding any); its answer ends at one of `end_tokens`. It was made for `context` tokens, 0 where its
    config.json does not say."""

    before: str = ""
    after: str = ""
    end_tokens: tuple[int, ...] = ()
    context: int = 0


def read(folder: Path) -> Manner:
    """That of the checkpoint in `folder`. Raises DamagedConfig, TemplateRefuses."""
    config = _page(folder, CONFIG)
    nested = config.get("text_config")
    text = {**config, **nested} if isinstance(nested, dict) else config
    special = _page(folder, "tokenizer_config.json")
    before, after = around(
        chat_template(folder), bos=_text(special.get("bos_token")), eos=_text(special.get("eos_token"))
    )
    ends = _ids(_page(folder, "generation_config.json").get("eos_token_id")) or _ids(text.get("eos_token_id"))
    context = text.get("max_position_embeddings")
    return Manner(before, after, ends, context if isinstance(context, int) else 0)


def around(template: str, *, bos: str = "", eos: str = "") -> tuple[str, str]:
    """What `template` puts before and after a question that the model is to answer without thinking first; for a model
    without a template `bos` and nothing. Raises TemplateRefuses."""
    if not template:
        return bos, ""
    before, mark, after = render(template, [Turn("user", MARK)], bos=bos, eos=eos, answer=True).partition(MARK)
    if not mark or MARK in after:
        raise TemplateRefuses(detail="it does not repeat the question as it is")
    return before, after


def _page(folder: Path, name: str) -> dict[str, Any]:
    return load_json(folder / name) if (folder / name).is_file() else {}


def _text(token: object) -> str:
    found = token.get("content") if isinstance(token, dict) else token  # AddedToken's form or plain text
    return found if isinstance(found, str) else ""


def _ids(found: object) -> tuple[int, ...]:
    listed = found if isinstance(found, list) else [found]
    return tuple(each for each in listed if isinstance(each, int) and not isinstance(each, bool))
