"""Why a language cannot be added, one class a reason.

    InputError
    ├── NothingToAdd
    ├── TextTooSmall
    ├── SizeImpossible
    └── NoFolder
    ModelUnsupported
    ├── NoTokenizerPage
    ├── TokenizerKindUnknown
    └── NoTableOfRows
    PenjingError
    └── OldTextChanged

Does not know: how one is added.
"""

from __future__ import annotations

from penjing.errors import InputError, ModelUnsupported, PenjingError


class NothingToAdd(InputError):
    """Facts: `name` (of the text), `letters` (scripts that were found, for people)."""

    template = "{name} has no letters that the old text does not have ({letters})."
    hint = (
        "Give a text in a language with letters of its own, such as Chinese. Pieces of letters that the old languages "
        "use too would change how their text is encoded."
    )
    code = "nothing_to_add"


class TextTooSmall(InputError):
    """Facts: `name`, `count` (letters of the language in it), `needed`."""

    template = "{name} has {count} letters of the language to add; at least {needed} are needed."
    hint = "Give more text: a million letters or more make good pieces."
    code = "text_too_short"


class SizeImpossible(InputError):
    """Facts: `size`, `most`."""

    template = "--size {size} is not possible: 1 to {most} tokens can be added at once."
    code = "invalid_size"


class NoFolder(InputError):
    """Facts: `path`."""

    template = "{path} is no checkpoint folder; a vocabulary grows in one."
    hint = "Take the folder that the .gguf file was converted from, or fetch the model's original weights."
    code = "no_checkpoint"


class NoTokenizerPage(ModelUnsupported):
    """Facts: `path`."""

    template = "{path} has no tokenizer.json."
    hint = "Write one with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)."


class TokenizerKindUnknown(ModelUnsupported):
    """Facts: `path`, `kind`."""

    template = "{path}: a tokenizer of the kind {kind} cannot be added to."
    hint = "Known here: byte-level BPE (Qwen, Llama 3, GPT), SentencePiece BPE (Llama 2, Gemma, Mistral), Unigram."


class NoTableOfRows(ModelUnsupported):
    """Facts: `path`, `rows` (as config.json says)."""

    template = "{path} has no embedding of {rows} rows that penjing knows by name."
    hint = "Known names: model.embed_tokens, lm_head, transformer.wte, gpt_neox.embed_in, embed_out, word_embeddings."


class OldTextChanged(PenjingError):
    """Never with the kinds of tokenizers that are known here; looked for all the same. Facts: `path`, `sample`."""

    template = "{path}: the grown tokenizer would encode old text otherwise than before: {sample}"
    hint = "Nothing was written. Please report this with the name of the model."
    exit_code = 3
