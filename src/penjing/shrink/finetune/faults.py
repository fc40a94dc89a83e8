"""What can be wrong with examples and with fine-tuning.

InputError
├── BadExample
├── NoSuchData
├── NoChatTemplate
├── TemplateRefusesExample
├── TooLong
├── HeldOutEmpty
├── NoSuchTarget
└── Unfinished
"""

from __future__ import annotations

from penjing.errors import InputError
from penjing.language import say
from penjing.plan.said import worded

FORMS = 'A line holds "messages" (role, content), or "instruction", "input", "output" (Alpaca), or "text".'


class BadExample(InputError):
    """Facts: `path`, `line`, `detail` (a `Said`)."""

    template = "{path}, line {line}: {detail}"
    hint = FORMS
    code = "invalid_example"

    def message(self, language: str | None = None) -> str:
        """One sentence in `language`, its detail too."""
        facts = {name: worded(fact, language) for name, fact in self.facts.items()}
        return say(self.template, language=language, **facts)


class NoSuchData(InputError):
    """Facts: `path`, `detail`."""

    template = "The examples in {path} cannot be read: {detail}"
    hint = "Give a .jsonl file: --data FILE"
    code = "data_not_found"


class NoChatTemplate(InputError):
    """Facts: `path` (of the examples), `line`."""

    template = "{path}, line {line}: this is a conversation, and the model has no chat template to write it with."
    hint = "Give instructions with outputs (Alpaca), or a model that was made for chat."
    code = "no_chat_template"


class TemplateRefusesExample(InputError):
    """Facts: `path`, `line`, `detail` (the template's own words)."""

    template = "{path}, line {line}: the model's chat template cannot be put around it: {detail}"
    hint = "Change the roles of this example, or leave it out."
    code = "template_refuses_example"


class TooLong(InputError):
    """Facts: `path`, `length` (the longest that is allowed, in tokens)."""

    template = "In {path} no question leaves room for an answer within {length} tokens."
    hint = "Allow longer examples: --length TOKENS"
    code = "examples_too_long"


class HeldOutEmpty(InputError):
    """Facts: `path`."""

    template = "{path} has nothing to measure: no example with an answer."
    hint = "Give other held-out examples, or leave --heldout out."
    code = "heldout_empty"


class NoSuchTarget(InputError):
    """Facts: `targets`, `known` (names of linear layers)."""

    template = "The model has no layers called {targets} that an adapter could go beside."
    hint = "Layers that can be adapted: {known}"
    code = "no_such_target"


class Unfinished(InputError):
    """Facts: `path` (of the states), `output`."""

    template = "A training run for {output} was stopped before its end; what it learned is in {path}."
    hint = "Go on: --resume. To begin anew, remove that folder."
    code = "unfinished_run"
