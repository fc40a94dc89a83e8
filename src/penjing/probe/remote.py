"""A model elsewhere, from its headers alone: a GGUF (with its shards) or a checkpoint, read in parts over HTTP.

Under 2 MB are moved: long vocabularies are leapt over (`leap`), and of checkpoints whose headers are longer than that
(experts in thousands of tensors) only the lengths of the headers and the first of them are read. Then `tensors` is
empty, `bytes` is exact, and `parameters` is what the source tells, else computed from the first header's types.

Does not know: protocols (`sources` does).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from penjing.probe import checkpoint, gguf, leap, safetensors, single
from penjing.probe.facts import Model
from penjing.probe.faults import DamagedConfig, DamagedHeader, HeaderCut, NoConfig, NoWeights
from penjing.probe.safetensors import BITS
from penjing.probe.tensor import Tensor
from penjing.probe.view import View
from penjing.sources.ranges import Several
from penjing.sources.source import Listing, RemoteFile
from penjing.sources.variants import Variant, pick, variants

PAGE = 32 << 10
"""Bytes read at a time where a header is read in order."""
SHORT = 64 << 10
"""Lists of texts that are at most this long are read, longer ones leapt over."""
MOST_READ = 1_500_000
"""Bytes of safetensors headers that are read."""
MOST_IN_ORDER = 64 << 20
"""Bytes of a GGUF header that are read where leaping failed."""
LONGEST_PAGE = 1 << 20
"""Bytes of the longest config.json or template that is read."""


class Pages:
    """The bytes of a remote file, kept page by page as they are read."""

    def __init__(self, several: Several, file: RemoteFile, page: int = PAGE) -> None:
        self._several, self._url, self._page = several, file.url, page
        self._size = several.size(file.url) if file.bytes < 0 else file.bytes
        self._kept: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice, /) -> bytes:
        start, stop, _ = span.indices(self._size)
        if stop <= start:
            return b""
        first, last = start // self._page, (stop - 1) // self._page
        missing = [number for number in range(first, last + 1) if number not in self._kept]
        if missing:
            self._fetch(missing)
        joined = b"".join(self._kept[number] for number in range(first, last + 1))
        return joined[start - first * self._page : stop - first * self._page]

    def samples(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several `(offset, length)` at once, not kept."""
        return self._several.read_many([(self._url, *span) for span in spans])

    def _fetch(self, numbers: list[int]) -> None:
        found = self.samples([(number * self._page, self._page) for number in numbers])
        self._kept.update(zip(numbers, found, strict=True))


class Distant(View):
    """A View of a remote file that leaps over long lists of texts; with `in_order` it reads them."""

    def __init__(self, path: Path, pages: Pages, *, in_order: bool = False) -> None:
        super().__init__(path, pages)
        self._pages, self._in_order = pages, in_order

    def skip_texts(self, count: int, name: str, longest: int) -> None:
        if count * leap.LENGTH.size > SHORT and not self._in_order:
            end = leap.end_of_texts(self._pages.samples, self.at, count, self.size)
            if end is None:
                raise _Lost
            self.at = end
            return
        for _ in range(count):
            length = self.count("Q", "the length of a text", longest, name=name)
            self.at += length
            if self._in_order and self.at > MOST_IN_ORDER:
                self.refuse("the header's length", f"> {MOST_IN_ORDER}", f"<= {MOST_IN_ORDER}", name)


class _Lost(Exception):
    """The end of a list of texts could not be told."""


def read(listing: Listing, wanted: Variant | str = "") -> Model:
    """The model that `wanted` (a variant, or what `variants.pick` takes) of `listing` is; the largest one without it.

    `path` and `files` name the place, not a file here. Raises ModelCorrupt, ModelUnsupported, NoWeights,
    NoSuchQuantization, and what `Several` raises."""
    variant = pick(listing, wanted) if isinstance(wanted, str) and wanted else wanted
    if not isinstance(variant, Variant):
        known = variants(listing)
        if not known:
            raise NoWeights(model=str(listing.reference), path=str(listing.reference))
        variant = known[-1]
    with Several(listing.headers) as several:
        return (_gguf if variant.kind == "gguf" else _checkpoint)(several, listing, variant)


def _gguf(several: Several, listing: Listing, variant: Variant) -> Model:
    headers = [_header(several, listing, file) for file in variant.files]
    return single.assemble(tuple(_path(listing, file) for file in variant.files), headers)


def _header(several: Several, listing: Listing, file: RemoteFile) -> gguf.Header:
    path = _path(listing, file)
    pages = Pages(several, file)
    try:
        return gguf.parse(Distant(path, pages))
    except (_Lost, DamagedHeader, HeaderCut):  # an unusual order of entries, or really damaged: read it to tell
        return gguf.parse(Distant(path, Pages(several, file, 1 << 20), in_order=True))


def _checkpoint(several: Several, listing: Listing, variant: Variant) -> Model:
    config = _config(several, listing)
    weights = [file for file in variant.files if file.path.endswith(".safetensors")]
    files = tuple(_path(listing, file) for file in weights)
    starts = several.read_many([(file.url, 0, 8) for file in weights])
    lengths = [
        safetensors.header_length(_view(listing, file, start)) for file, start in zip(weights, starts, strict=True)
    ]
    few = sum(lengths) <= MOST_READ
    chosen = weights if few else weights[:1] if lengths[0] <= MOST_READ else []
    bodies = several.read_many([(file.url, 0, 8 + length) for file, length in zip(chosen, lengths, strict=False)])
    tensors: list[Tensor] = []
    for file, body in zip(chosen, bodies, strict=True):
        tensors += safetensors.parse(_view(listing, file, body))
    made = checkpoint.assemble(
        Path(listing.reference.place),
        config,
        files,
        tuple(tensors),
        name=listing.name,
        template=_template(several, listing),
    )
    return (
        made
        if few
        else _totals(made, listing, sum(file.bytes - 8 - length for file, length in zip(weights, lengths, strict=True)))
    )


def _totals(model: Model, listing: Listing, size: int) -> Model:
    """`model`, of whose tensors only some were read, with what is known of the whole."""
    told = {kind: number for kind, number in listing.parameters.items() if kind in BITS}
    bits = BITS.get(model.quantization, 0)
    parameters = sum(told.values()) or (size * 8 // bits if bits else 0)
    label = max(told, key=lambda kind: told[kind]) if told else model.quantization
    return dataclasses.replace(
        model,
        tensors=(),
        bytes=size,
        parameters=parameters,
        quantization=label,
        bits_per_weight=size * 8 / parameters if parameters else 0.0,
    )


def _view(listing: Listing, file: RemoteFile, start: bytes) -> View:
    """A view of a file's beginning that knows how long the whole is."""
    view = View(_path(listing, file), start)
    view.size = file.bytes
    if len(start) < min(8, file.bytes):
        raise HeaderCut(
            path=str(view.path), size=len(start), missing=8 - len(start), word="the header's length", name=""
        )
    return view


def _config(several: Several, listing: Listing) -> dict[str, Any]:
    page = _page(several, listing, checkpoint.CONFIG)
    place = listing.reference.place
    if page is None:
        raise NoConfig(path=place)
    try:
        return msgspec.json.decode(page, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedConfig(path=f"{place}/{checkpoint.CONFIG}", detail=str(error)) from error


def _template(several: Several, listing: Listing) -> str:
    """chat_template.jinja; the one in tokenizer_config.json is left, since that page can be longer than all headers."""
    page = _page(several, listing, "chat_template.jinja")
    return page.decode("utf-8", "replace") if page is not None else ""


def _page(several: Several, listing: Listing, name: str) -> bytes | None:
    file = listing.file(name)
    if file is None or file.bytes > LONGEST_PAGE:
        return None
    return several.read_many([(file.url, 0, LONGEST_PAGE)])[0]


def _path(listing: Listing, file: RemoteFile) -> Path:
    return Path(listing.reference.place) / file.path
