"""Hugging Face, or a mirror of it that speaks the same protocol (HF_ENDPOINT).

Protocol: huggingface.co/docs/hub/api; huggingface_hub `hf_api.py` (`model_info`, `list_repo_tree`), `constants.py`.

Environment: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_OFFLINE, as the official tools read them.

Does not know: what the files hold; Xet's own protocol (its files come through the same addresses, with the same
SHA-256).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from penjing.sources.client import Client, same_place
from penjing.sources.faults import ForeignAnswer, NotAReference, Offline
from penjing.sources.names import Reference, safe
from penjing.sources.refusal import refusal
from penjing.sources.source import Listing, RemoteFile

ENDPOINT = "https://huggingface.co"
NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')
TRUE = ("1", "ON", "YES", "TRUE")
MOST_PAGES = 1000


class HuggingFace:
    """Repositories of models."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """Two questions: what the revision is, and its files (page by page)."""
        require_online()
        at = endpoint()
        secrets = bearer(token())
        revision = reference.revision or "main"
        about = await _about(client, at, reference, revision, secrets)
        commit = str(about.get("sha") or revision)
        files = await _tree(client, at, reference.place, commit, secrets)
        card = about.get("cardData")
        numbers = about.get("safetensors")
        return Listing(
            reference,
            commit,
            files,
            licence=licence(card if isinstance(card, dict) else {}, about.get("tags")),
            gated=bool(about.get("gated")),
            page=f"{at}/{reference.place}",
            headers=secrets,
            parameters=_counts(numbers.get("parameters") if isinstance(numbers, dict) else None),
        )


def require_online() -> None:
    """Raises Offline where the person said so to the official tools."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in TRUE:
            raise Offline(variable=name)


def endpoint() -> str:
    """HF_ENDPOINT without a slash at its end, or Hugging Face's own. Raises NotAReference."""
    given = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    if given and not given.startswith(("http://", "https://")):
        raise NotAReference(text=given, detail="HF_ENDPOINT wants an http:// or https:// address")
    return given or ENDPOINT


def home() -> Path:
    """Where the official tools keep what is theirs: HF_HOME, else `huggingface` in the cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "") or "~/.cache"
    return Path(os.path.expandvars(os.environ.get("HF_HOME", "") or f"{cache}/huggingface")).expanduser()


def token() -> str:
    """The person's token, empty without one: HF_TOKEN (or its older name), else the file that `hf auth login` wrote."""
    given = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or ""
    if not given.strip():
        path = Path(os.environ.get("HF_TOKEN_PATH", "") or home() / "token").expanduser()
        try:
            given = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):  # nobody signed in here
            given = ""
    return given.strip()


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a token; a token that no header can carry is left out."""
    sound = secret and secret.isascii() and secret.isprintable()
    return {"Authorization": f"Bearer {secret}"} if sound else {}


def licence(card: Mapping[str, Any], tags: object) -> str:
    """The licence as the model's card names it, with its link where it has one of its own; empty without one."""
    found = card.get("license")
    if isinstance(found, list):
        found = ", ".join(map(str, found))
    if found == "other":
        found = card.get("license_name") or found
    if not found and isinstance(tags, list):
        found = next((str(tag).partition(":")[2] for tag in tags if str(tag).startswith("license:")), "")
    link = card.get("license_link")
    return f"{found} ({link})" if found and isinstance(link, str) and link.startswith("http") else str(found or "")


async def _about(
    client: Client, at: str, reference: Reference, revision: str, secrets: Mapping[str, str]
) -> dict[str, Any]:
    url = f"{at}/api/models/{quote(reference.place)}/revision/{quote(revision, safe='')}"
    reply, about = await client.json(url, secrets)
    if reply.status != 200:
        raise refusal(reply, url, bool(secrets), place=reference.place, revision=revision)
    if not isinstance(about, dict):
        raise ForeignAnswer(url=url, detail="no description of a model")
    return about


async def _tree(client: Client, at: str, place: str, commit: str, secrets: Mapping[str, str]) -> tuple[RemoteFile, ...]:
    url = first = f"{at}/api/models/{quote(place)}/tree/{quote(commit, safe='')}?recursive=true"
    files: list[RemoteFile] = []
    for _ in range(MOST_PAGES):
        reply, page = await client.json(url, secrets)
        if reply.status != 200:
            raise refusal(reply, url, bool(secrets), place=place, revision=commit)
        if not isinstance(page, list) or not all(isinstance(entry, dict) for entry in page):
            raise ForeignAnswer(url=first, detail="no list of files")
        try:
            files += [_file(at, place, commit, entry) for entry in page if entry.get("type") == "file"]
        except (KeyError, TypeError, ValueError) as error:
            raise ForeignAnswer(url=first, detail=f"a file is described without {error}") from error
        following = NEXT.search(reply.header("Link"))
        if not following:
            return tuple(files)
        url = urljoin(url, following[1])
        if not same_place(at, url):
            raise ForeignAnswer(url=first, detail="its list of files goes on at another host")
    raise ForeignAnswer(url=first, detail=f"more than {MOST_PAGES} pages of files")


def _file(at: str, place: str, commit: str, entry: Mapping[str, Any]) -> RemoteFile:
    path, large = str(entry["path"]), entry.get("lfs")
    if not path or not safe(path):
        raise ValueError(f"a sound path: {path!r}")
    url = f"{at}/{quote(place)}/resolve/{quote(commit, safe='')}/{quote(path)}"
    if isinstance(large, dict):
        digest = str(large.get("oid") or large.get("sha256") or "").removeprefix("sha256:")
        return RemoteFile(path, int(large["size"]), url, sha256=digest.lower())
    return RemoteFile(path, int(entry["size"]), url, git=str(entry.get("oid") or ""))


def _counts(found: object) -> dict[str, int]:
    if not isinstance(found, dict):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, int) and value >= 0}
