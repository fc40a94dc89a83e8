"""What can be wrong with a text."""

from __future__ import annotations

from penjing.errors import InputError


class NotAText(InputError):
    """Facts: `path`, `line`, `detail`."""

    template = "{path}, line {line}: this is no text that can be used: {detail}"
    hint = 'A line of a .jsonl holds "text", or "messages" with role and content, or "instruction" and "output".'
    code = "invalid_text"


class NotUnicode(NotAText):
    """Facts besides: `encoding`, which the file may have."""

    hint = "Save it as UTF-8: iconv -f {encoding} -t UTF-8 '{path}' > NEW"


class NoSuchText(InputError):
    """Facts: `name`, `known` (the built-in ones)."""

    template = "There is no text '{name}' here."
    hint = "Give a .txt, .md or .jsonl file, a folder of them, or a built-in one: {known}"
    code = "text_not_found"


class TextTooShort(InputError):
    """Facts: `name`, `tokens` (it has), `needed`, `context`, `shorter` (a context for which it would do)."""

    template = "The text {name} is too short: {tokens} tokens, and {needed} are needed (windows of {context})."
    hint = "Give more text, or shorter windows: --context {shorter}"
    code = "text_too_short"


class CalibrationTooShort(TextTooShort):
    """As `TextTooShort`, where windows have the length they have."""

    template = "The calibration text {name} is too short: {tokens} tokens, and {needed} are needed."
    hint = "Give more text, several texts, or leave --text out: one is built in."


class WrongLanguage(InputError):
    """Facts: `name`, `rate` (bytes a token), `sample` (the first words)."""

    template = "The text {name} is in a language that this model does not know: its tokenizer spells it byte by byte."
    hint = "{rate:.1f} bytes a token in: {sample}. Give a text in a language of the model."
    code = "text_wrong_language"
