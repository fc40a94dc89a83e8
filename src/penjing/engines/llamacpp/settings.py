"""What one worker is started with: every value decided, nothing left to the library's guess.

Crosses the process border as one line of JSON. Only the standard library is used, because the worker imports it.

Does not know: how the values were chosen (`derive`), what the library calls them (`worker`).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

RANK = "rank"
"""The pooling of models that say how well a document answers a query."""


@dataclass(frozen=True)
class Settings:
    """Paths as text; `context`, `pool`, `batch`, `ubatch` in tokens; `cache_ram` in MiB.

    `context` is what one conversation may use; `pool` is the KV cache that all `slots` share, at least `context`.
    `flash_attention`: `auto`, `on`, `off`. `gpu_layers`: layers on the GPU, counting the output as one; 0 for none.
    `rope_scale`: how many times longer than trained positions may run (1 for as trained). `pooling`: `""` for the
    model's own. `silent`: no thinking unless a request asks for it. `lora`: pairs of path and weight. `mmproj`: what
    gives the model eyes or ears. `scheduler`:
    whose worker it is (`process.MODULES`); penjing's loads the shared object `library`, of `library_version`, where it
    is not the one of the wheel. It takes `max_cpu` (0 to 1) of the time of `cores` and less as `power` says, guesses
    with the model `draft`, and with `keep` puts conversations on disk. `shift`: a full conversation forgets its oldest
    tokens. `private`: no other program may read the worker's memory (the model was
    sealed). With `socket` the worker listens on that Unix
    socket, else on a free port of 127.0.0.1 where every request must carry `key`.
    """

    model: str
    name: str
    context: int
    pool: int
    slots: int
    threads: int
    batch: int
    ubatch: int
    flash_attention: str = "auto"
    kv_type: str = "f16"
    rope_scale: float = 1.0
    gpu_layers: int = 0
    mmap: bool = True
    embeddings: bool = False
    pooling: str = ""
    lora: tuple[tuple[str, float], ...] = ()
    mmproj: str = ""
    cache_ram: int = 0
    silent: bool = False
    private: bool = False
    scheduler: str = "llama.cpp"
    library: str = ""
    library_version: str = ""
    cores: float = 0.0
    max_cpu: float = 1.0
    power: str = "max"
    draft: str = ""
    shift: bool = False
    keep: bool = True
    log_level: str = "info"
    socket: str = ""
    key: str = dataclasses.field(default="", repr=False)

    def encode(self) -> bytes:
        """One line of JSON, ended by a newline."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Settings:
        """The settings `encode` wrote. Raises TypeError or ValueError for anything else."""
        fields = json.loads(line)
        fields["lora"] = tuple((str(path), float(weight)) for path, weight in fields["lora"])
        return cls(**fields)
