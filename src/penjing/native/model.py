"""The weights of a GGUF file in memory, once for all contexts, and its vocabulary.

Does not know: conversations, batches.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from os import fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.native import log
from penjing.native.calls import call
from penjing.native.faults import LoadFailed, WrongUse
from penjing.native.layout import FLAG, FLOAT, INT, POINTER, known
from penjing.native.mapped import let_go

MMAP, READ = 1, 0
"""llama.h, `llama_load_mode`."""
_Progress = ctypes.CFUNCTYPE(FLAG, FLOAT, POINTER)
"""llama.h, `llama_progress_callback`."""


class Adapter:
    """A LoRA adapter of a `Model`, which holds its memory. Made by `Model.adapter`."""

    def __init__(self, model: Model, path: Path, address: int) -> None:
        self.model, self.path, self._address = model, path, address

    @property
    def address(self) -> int:
        """Where the library has it. Raises WrongUse once the model is closed."""
        self.model.address  # noqa: B018  raises
        return self._address


class Model:
    """The model at `path`. `gpu_layers` of it on a GPU (0: none is touched, -1: all); with `mmap` its pages are shared
    with other processes; `vocabulary_only` loads no weights. `progress` is told a fraction and may return False to
    stop. Use as a context manager: leaving it closes its contexts first. Raises LibraryMissing, LayoutUnknown,
    LoadFailed."""

    def __init__(
        self,
        path: Path | str,
        *,
        mmap: bool = True,
        gpu_layers: int = 0,
        vocabulary_only: bool = False,
        extra_buffers: bool = True,
        progress: Callable[[float], bool] | None = None,
    ) -> None:
        self.path = Path(fspath(path))
        self._contexts: set[int] = set()
        self._address: int | None = None
        log.listen()
        begin()
        library = known()
        params = library.model_params()
        nothing = (POINTER * 1)()
        params.load_mode, params.gpu_layers = MMAP if mmap else READ, gpu_layers
        params.vocab_only, params.use_extra_bufts = vocabulary_only, extra_buffers
        if not gpu_layers:
            params.devices = ctypes.addressof(nothing)
        if progress is not None:
            told = _Progress(lambda fraction, _: bool(progress(fraction)))
            params.progress = ctypes.cast(told, POINTER)
        log.forget()
        address = library.load_model(str(self.path), params)
        if not address:
            raise LoadFailed(path=self.path, detail=log.complaint())
        self._address = address
        if mmap:
            let_go(self.path)  # what the library copied into another order
        self._vocabulary = int(call("llama_model_get_vocab")(address))
        self.vocabulary_size = int(call("llama_vocab_n_tokens")(self._vocabulary))

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free it, its contexts first and its adapters with it; a second time does nothing."""
        address, self._address = getattr(self, "_address", None), None
        if address is not None:
            for context in list(self._contexts):
                self.release(context)
            call("llama_model_free")(address)

    def hold(self, context: int) -> None:
        """The context at that address is freed before the model is, in whatever order Python forgets them."""
        self._contexts.add(context)

    def release(self, context: int) -> None:
        """Free the context at that address, unless it is free already."""
        if context in self._contexts:
            self._contexts.remove(context)
            call("llama_free")(context)

    @property
    def address(self) -> int:
        """Where the library has it. Raises WrongUse once it is closed."""
        if self._address is None:
            raise WrongUse(detail=f"{self.path} is closed")
        return self._address

    @property
    def vocabulary(self) -> int:
        """Where the library has its vocabulary. Raises WrongUse once it is closed."""
        self.address  # noqa: B018  raises
        return self._vocabulary

    def _number(self, name: str) -> int:
        return int(call(f"llama_model_{name}")(self.address))

    @property
    def trained_context(self) -> int:
        """Tokens it was trained for."""
        return self._number("n_ctx_train")

    @property
    def width(self) -> int:
        """Length of its embeddings."""
        return self._number("n_embd")

    @property
    def layers(self) -> int:
        """How many it has."""
        return self._number("n_layer")

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return self._number("n_params")

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        return self._number("size")

    @property
    def window(self) -> int:
        """Tokens that its sliding-window layers see; 0 where it has none."""
        return self._number("n_swa")

    @property
    def recurrent(self) -> bool:
        """Whether it keeps a state (Mamba, RWKV, hybrids): a sequence cannot be cut back to an earlier token."""
        return bool(self._number("is_recurrent") or self._number("is_hybrid"))

    @property
    def generates(self) -> bool:
        """Whether it is a decoder without an encoder before it."""
        return bool(self._number("has_decoder")) and not self._number("has_encoder")

    @functools.cached_property
    def metadata(self) -> dict[str, str]:
        """All of its keys that are no arrays, as text."""
        count = self._number("meta_count")
        return {self._meta("key", index): self._meta("val_str", index) for index in range(count)}

    def _meta(self, what: str, index: int) -> str:
        read = call(f"llama_model_meta_{what}_by_index")
        size = read(self.address, index, None, 0) + 1
        found = ctypes.create_string_buffer(size)
        read(self.address, index, found, size)
        return found.value.decode(errors="replace")

    def chat_template(self, name: str | None = None) -> str | None:
        """Its Jinja template (`name`: another than the default one, `tool_use`); None where it has none."""
        found = call("llama_model_chat_template")(self.address, name.encode() if name else None)
        return str(found.decode(errors="replace")) if found else None

    def adapter(self, path: Path | str) -> Adapter:
        """The LoRA adapter at `path`, for `Context.adapt`. Raises LoadFailed."""
        log.forget()
        made = call("llama_adapter_lora_init")(self.address, str(path).encode())
        if not made:
            raise LoadFailed(path=path, detail=log.complaint())
        return Adapter(self, Path(path), int(made))

    def tokenize(self, text: str, *, special: bool = False, begin: bool = True) -> list[int]:
        """`text` in tokens. `special`: names of control tokens in it are those tokens. `begin`: with the tokens that
        the model wants at the beginning and the end, if any."""
        raw = text.encode()
        room = len(raw) + 8
        while True:
            found = (INT * room)()
            count = call("llama_tokenize")(self.vocabulary, raw, len(raw), found, room, begin, special)
            if count >= 0:
                return list(found[:count])
            room = -count

    def detokenize(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """The text of `tokens`, as `tokenize` takes it apart; `special`: control tokens are shown. Bytes that are no
        UTF-8 become U+FFFD. Raises WrongUse for a token that it does not have."""
        for token in tokens:
            self.check(token)
        kept, room = (INT * len(tokens))(*tokens), 8 * len(tokens) + 64
        while True:
            found = ctypes.create_string_buffer(room)
            count = call("llama_detokenize")(self.vocabulary, kept, len(kept), found, room, False, special)
            if count >= 0:
                return found.raw[:count].decode(errors="replace")
            room = -count

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token, which may be part of a letter. Raises WrongUse for one that it does not have."""
        self.check(token)
        room = 64
        while True:
            found = ctypes.create_string_buffer(room)
            count = call("llama_token_to_piece")(self.vocabulary, token, found, room, 0, special)
            if count >= 0:
                return found.raw[:count]
            room = -count

    def word(self, token: int) -> bytes:
        """How the vocabulary writes a token. Raises WrongUse."""
        self.check(token)
        return bytes(call("llama_vocab_get_text")(self.vocabulary, token) or b"")

    def check(self, token: int) -> None:
        """Raises WrongUse where the vocabulary has no such token."""
        if not 0 <= token < self.vocabulary_size:
            raise WrongUse(detail=f"there is no token {token} among {self.vocabulary_size}")

    @functools.cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        ends = call("llama_vocab_is_eog")
        return frozenset(token for token in range(self.vocabulary_size) if ends(self.vocabulary, token))

    @functools.cached_property
    def suppressed(self) -> tuple[int, ...]:
        """The tokens that it must not say (GGUF's key tokenizer.ggml.suppress_tokens)."""
        count = INT(0)
        found = call("llama_vocab_get_suppress_tokens")(self.vocabulary, ctypes.byref(count))
        return tuple((INT * count.value).from_address(found)) if found and count.value else ()

    def control(self, token: int) -> bool:
        """Whether it is a control token. Raises WrongUse."""
        self.check(token)
        return bool(call("llama_vocab_is_control")(self.vocabulary, token))

    def special(self, name: str) -> int | None:
        """The token `bos`, `eos`, `eot` or `sep`; None where there is none."""
        found = call(f"llama_vocab_{name}")(self.vocabulary)
        return int(found) if found >= 0 else None

    @property
    def begins(self) -> bool:
        """Whether a text begins with the token `bos`."""
        return self.adds("bos")

    def adds(self, name: str) -> bool:
        """Whether the token `bos`, `eos` or `sep` belongs to what it reads."""
        return bool(call(f"llama_vocab_get_add_{name}")(self.vocabulary))


@functools.cache
def begin() -> None:
    """Make the library ready, once. Raises LibraryMissing."""
    call("llama_backend_init")()


def as_floats(address: int, rows: int, columns: int) -> NDArray[np.float32]:
    """A view of numbers f32 [rows, columns] at `address`."""
    pointer: Any = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, (rows, columns))
