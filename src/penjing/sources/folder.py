"""Files and folders of this machine, listed as any other source is.

Does not know: what the files hold. Their digests are not computed: whoever copies them does.
"""

from __future__ import annotations

from pathlib import Path

from penjing.errors import ModelNotFound
from penjing.files import expanded
from penjing.sources.client import Client
from penjing.sources.names import Reference
from penjing.sources.source import Listing, RemoteFile
from penjing.sources.variants import SHARD


class Folder:
    """A path."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """The file with its shards, or what the folder holds. Raises ModelNotFound."""
        path = expanded(reference.place).absolute()
        return Listing(reference, "", _listed(path), page=str(path))


def _listed(path: Path) -> tuple[RemoteFile, ...]:
    if not path.exists():
        raise ModelNotFound(model=str(path))
    try:
        files = _within(path) if path.is_dir() else _shards(path)
        return tuple(RemoteFile(name, file.stat().st_size, file.as_uri()) for name, file in files)
    except OSError as error:
        raise ModelNotFound(model=f"{path}: {error.strerror}") from error


def _within(folder: Path) -> list[tuple[str, Path]]:
    found = ((file.relative_to(folder), file) for file in sorted(folder.rglob("*")) if file.is_file())
    return [(name.as_posix(), file) for name, file in found if not any(step.startswith(".") for step in name.parts)]


def _shards(path: Path) -> list[tuple[str, Path]]:
    shard = SHARD.fullmatch(path.name)
    if not shard:
        return [(path.name, path)]
    pattern = f"-of-{shard['count']}.{shard['kind']}"
    names = sorted(other.name for other in path.parent.iterdir() if other.name.endswith(pattern))
    return [(name, path.with_name(name)) for name in names if name.startswith(f"{shard['stem']}-")]
