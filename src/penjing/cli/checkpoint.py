"""From the MODEL that a person typed to a checkpoint folder, for verbs that need weights as they were trained.

Does not know: what is done with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penjing.errors import ModelUnsupported

if TYPE_CHECKING:
    from pathlib import Path

    from penjing.cli.local import Care


class NotACheckpoint(ModelUnsupported):
    """Facts: `model`, `kind`."""

    template = "{model} is a {kind} file; this needs the checkpoint: config.json with .safetensors files."
    hint = "Fetch the original weights: penjing pull hf:OWNER/REPO, or name their folder."
    code = "not_a_checkpoint"


def checkpoint(name: str, care: Care) -> tuple[str, Path]:
    """What it is called, and its folder. One of the store that rests is put together; what is not on this machine yet
    is fetched where a person who can be asked wants it. Raises NotACheckpoint, and what `fetching.found` raises."""
    from penjing.cli.fetching import found
    from penjing.cli.progress import shown
    from penjing.store.admitting import of_version, require_admitted
    from penjing.store.resolve import guide
    from penjing.store.versions import Store

    model = found(name, None, care)
    if model.kind == "guide":
        return model.name, guide().parent
    if model.kind != "checkpoint":
        raise NotACheckpoint(path=str(model.source), model=name, kind=model.kind.upper())
    with shown() as report:
        if model.version is not None:
            folder = Store().path(model.version, report)
            require_admitted(of_version(model.version), care.allow, report)
            return model.name, folder
        require_admitted(model.source, care.allow, report)
    return model.name, model.source
