"""The target `web`: the chat page as a folder that any static HTTPS host can serve, with models inside.

Does not know: how a model became a GGUF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from penjing.export.gguf.runtime import LlamaRuntime
from penjing.export.offer import Offer, offer, site
from penjing.export.page import built
from penjing.export.target import CONTEXT, Options
from penjing.files import require_room
from penjing.probe import model as probe
from penjing.progress import Progress
from penjing.shrink.output import require_free, whole_folder

if TYPE_CHECKING:
    from penjing.progress import Report

MODELS = "models/*.gguf"
BLOCK = 1 << 22
HEADERS = """/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
  X-Content-Type-Options: nosniff
  Referrer-Policy: no-referrer
/assets/*
  Cache-Control: public, max-age=31536000, immutable
/wasm/*
  Cache-Control: public, max-age=31536000, immutable
/models/*
  Cache-Control: public, max-age=31536000, immutable
"""
"""The file `_headers` of Netlify and Cloudflare Pages. Elsewhere the page's service worker adds the first two."""


class Web:
    """The page with one model inside. The target takes it as it is: a page's quantization is its GGUF's."""

    name: ClassVar[str] = "web"
    extra: ClassVar[str] = ""
    packages: ClassVar[tuple[str, ...]] = ()
    precisions: ClassVar[Mapping[str, float]] = {"as-is": 32.0}
    takes: ClassVar[Literal["checkpoint", "gguf"]] = "gguf"
    uses: ClassVar[tuple[str, ...]] = ("bits",)

    def write(self, model: Path, output: Path, options: Options, report: Report | None = None) -> list[Path]:
        """The page, `site.json` and the GGUF `model`. Raises ModelError, DiskFull, and what `report` raises."""
        write([offer(model, options.name, report)], output, report)
        return sorted(path for path in output.rglob("*") if path.is_file())

    def reload(self, output: Path) -> LlamaRuntime:
        """The model in the page as llama.cpp computes it here; that a browser says the same is shown by a test with
        one. Raises LoadFailed."""
        (path,) = output.glob(MODELS)
        return LlamaRuntime(path, min(CONTEXT, probe.read(path).context or CONTEXT))


def export(offers: Sequence[Offer], output: Path, report: Report | None = None) -> list[Path]:
    """Write the page with the models `offers` to the new folder `output`; returns its files. Raises OutputTaken,
    DiskFull, OSError, and what `report` raises; a folder that could not be finished is gone."""
    require_free(output)
    with whole_folder(output) as folder:
        write(offers, folder, report)
    return sorted(path for path in output.rglob("*") if path.is_file())


def write(offers: Sequence[Offer], folder: Path, report: Report | None = None) -> None:
    """The same into `folder`, which is there and empty."""
    total = sum(each.size for each in offers)
    require_room(folder, total + sum(asset.size for asset in built().assets))
    for asset in built().assets:
        _write(folder / asset.name, asset.plain())
    _write(folder / "_headers", HEADERS.encode())
    _write(folder / "site.json", site(offers, server=False))
    done = 0
    for each in offers:
        done = _copy(each, folder / each.file, report, done, total)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _copy(offer: Offer, path: Path, report: Report | None, done: int, total: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with offer.path.open("rb") as source, path.open("xb") as target:
        while block := source.read(BLOCK):
            target.write(block)
            done += len(block)
            if report is not None:
                report(Progress(done / total, "writing"))
    return done
