"""OpenVINO as an engine: settings as llama.cpp's, another worker.

Does not know: restarting (`operate.supervise`), requests.
"""

from __future__ import annotations

import dataclasses

from penjing.engines.engine import Capabilities
from penjing.engines.llamacpp.derive import Choice, Derived
from penjing.engines.llamacpp.engine import LlamaCpp
from penjing.engines.openvino import extra
from penjing.engines.openvino.worker import CACHES
from penjing.errors import ModelUnsupported, SettingError
from penjing.probe import model as probe
from penjing.probe.facts import Model
from penjing.settings import one_of

KIND = "openvino"
FAMILIES = ("llama", "qwen2", "qwen3")
TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K")
"""What its reader of GGUF files takes (openvino.genai, src/cpp/src/gguf_utils)."""
FILE_TYPE = "general.file_type"
OPTIONS = ("engine", "max_context", "parallel", "threads", "batch", "ubatch", "kv_type", "log_level")
"""Options that mean something to it; the others, where somebody gave them, are refused."""
NOT_ITS = ("scheduler", "library", "cache_ram", "mmap", "mmproj")
"""Choices of llama.cpp that do not reach it."""
WHY = "OpenVINO computes with its own kernels and batches by itself"
SOURCE = "the engine options"


class NotForOpenVino(ModelUnsupported):
    """Facts: `path`, `detail`, `nearest` (families and types that it reads)."""

    template = "OpenVINO does not read {path}: {detail}"
    hint = "It reads {nearest}; llama.cpp reads this one: leave out --engine openvino"


class OpenVino(LlamaCpp):
    """The GGUF at `model`, computed by OpenVINO on the processor; else as LlamaCpp."""

    def __repr__(self) -> str:
        return f"OpenVino({str(self.model)!r}, {self._name!r})"

    async def foresee(self) -> Derived:
        """Raises OpenVinoMissing, NotForOpenVino for what its reader does not take, and as LlamaCpp does."""
        installed = extra.require()
        self._require_options()
        derived = await super().foresee()
        require_readable(self)
        settings = dataclasses.replace(
            derived.settings,
            scheduler=KIND,
            library="",
            library_version=f"openvino {installed}",
            cache_ram=0,
            mmproj="",
        )
        told = tuple(each for each in derived.choices if each.name not in NOT_ITS)
        return dataclasses.replace(
            derived, settings=settings, choices=(Choice("engine", KIND, WHY), *told), projector=None
        )

    def _require_options(self) -> None:
        """Raises SettingError for one that would be passed over."""
        usual = {each.name: each.default for each in dataclasses.fields(self.options)}
        for name, default in usual.items():
            value = getattr(self.options, name)
            fine = name in OPTIONS or value == default or (name == "device" and value == "cpu")
            if not fine:
                raise SettingError(name=name, value=value, wanted="for the engine openvino", source=SOURCE)
        if self.options.kv_type is not None and self.options.kv_type not in CACHES:
            raise SettingError(name="kv_type", value=self.options.kv_type, wanted=one_of(CACHES), source=SOURCE)

    async def _ask_capabilities(self) -> Capabilities:
        found = await super()._ask_capabilities()
        return dataclasses.replace(found, embeddings=False, rerank=False, metadata={**found.metadata, "engine": KIND})


def require_readable(engine: OpenVino) -> None:
    """Raises NotForOpenVino where OpenVINO's reader would not take the file."""
    if detail := unreadable(probe.read(engine.model)):
        raise NotForOpenVino(path=str(engine.model), detail=detail, nearest=", ".join((*FAMILIES, *TYPES)))


def unreadable(model: Model) -> str:
    """Why OpenVINO's reader would not take the file; empty where it does."""
    kinds = sorted({tensor.type for tensor in model.tensors} - set(TYPES))
    if model.format != "gguf":
        return "it is no GGUF file"
    if model.architecture not in FAMILIES:
        return f"it does not know the architecture {model.architecture}"
    if kinds:
        return f"it does not know weights in {', '.join(kinds)}"
    if FILE_TYPE not in model.metadata:
        return f"its header lacks the key {FILE_TYPE}, which llama.cpp's and penjing's quantizers write"
    return ""
