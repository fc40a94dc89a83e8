"""ModelScope (modelscope.cn, modelscope.ai).

Protocol: `modelscope_hub` 0.5 (`_legacy_api.py`: `repo/files`, `repo?FilePath=`; `config.py`: where the token is kept).

Environment: MODELSCOPE_ENDPOINT, MODELSCOPE_DOMAIN, MODELSCOPE_API_TOKEN, MODELSCOPE_HOME, as the official tools read
them.

Does not know: what the files hold. A revision here is a branch or tag and may move; the digests say when it did.
"""

from __future__ import annotations

import os
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penjing.sources.client import Client, host_of
from penjing.sources.faults import ForeignAnswer, NoSuchRevision, NotAReference
from penjing.sources.names import Reference, safe
from penjing.sources.refusal import refusal
from penjing.sources.source import Listing, RemoteFile

ENDPOINT = "https://modelscope.cn"
MOST_FILES = 3000
"""Where the server cuts a list of files off, without saying so (`REPO_FILES_TRUNCATION_LIMIT`)."""
COOKIE = "m_session_id"


class ModelScope:
    """Repositories of models."""

    async def listing(self, reference: Reference, client: Client) -> Listing:
        """Two questions: what it is, and its files."""
        at = endpoint()
        secrets = headers(token())
        revision = reference.revision or "master"
        base = f"{at}/api/v1/models/{quote(reference.place)}"
        about = await _asked(client, base, reference, "", secrets)
        url = f"{base}/repo/files?Revision={quote(revision, safe='')}&Recursive=True"
        data = await _asked(client, url, reference, revision, secrets)
        entries = data.get("Files")
        if not isinstance(entries, list) or len(entries) >= MOST_FILES:
            raise ForeignAnswer(url=url, detail="no list of files, or more of them than it lists")
        try:
            files = tuple(_file(base, revision, entry) for entry in entries if entry.get("Type") != "tree")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ForeignAnswer(url=url, detail=f"a file is described without {error}") from error
        return Listing(
            reference,
            revision,
            files,
            licence=str(about.get("License") or "").lower(),
            page=f"{at}/models/{reference.place}",
            headers=secrets,
        )


def endpoint() -> str:
    """MODELSCOPE_ENDPOINT, or a host in MODELSCOPE_DOMAIN, or ModelScope's own. Raises NotAReference."""
    given = (os.environ.get("MODELSCOPE_ENDPOINT") or os.environ.get("MODELSCOPE_DOMAIN") or "").strip().rstrip("/")
    if given and "://" not in given:
        given = f"https://{given}"
    if given and not given.startswith(("http://", "https://")):
        raise NotAReference(text=given, detail="MODELSCOPE_ENDPOINT wants an http:// or https:// address")
    return given or ENDPOINT


def token() -> str:
    """The person's token, empty without one: MODELSCOPE_API_TOKEN, else what `modelscope login` kept."""
    given = os.environ.get("MODELSCOPE_API_TOKEN", "").strip()
    home = Path(os.environ.get("MODELSCOPE_HOME", "") or "~/.modelscope").expanduser()
    return given or _kept(home / "credentials" / "cookies")


def headers(secret: str) -> dict[str, str]:
    """Both ways in which its servers want a token."""
    if not (secret and secret.isascii() and secret.isprintable()) or ";" in secret:
        return {}
    return {"Authorization": f"Bearer {secret}", "Cookie": f"{COOKIE}={secret}"}


def _kept(path: Path) -> str:
    """The token in the pickled cookies of the official tool. Its texts are only listed: a pickle that is loaded can run
    any program."""
    try:
        texts = [word for _, word, _ in pickletools.genops(path.read_bytes()) if isinstance(word, str)]
    except (OSError, ValueError):  # nobody signed in here, or it is no pickle
        return ""
    following = texts[texts.index(COOKIE) + 1 :] if COOKIE in texts else []
    return next((word for word in following if word != "value"), "")  # the key is named the first time only


async def _asked(
    client: Client, url: str, reference: Reference, revision: str, secrets: Mapping[str, str]
) -> dict[str, Any]:
    reply, answer = await client.json(url, secrets)
    if reply.status == 404 and revision:  # what it is was told before
        host = host_of(url)
        raise NoSuchRevision(model=str(reference), host=host, place=reference.place, revision=revision)
    if reply.status != 200:
        raise refusal(reply, url, bool(secrets), place=reference.place, revision=revision)
    data = answer.get("Data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        detail = str(answer.get("Message") or "no data") if isinstance(answer, dict) else "no data"
        raise ForeignAnswer(url=url, detail=detail)
    return data


def _file(base: str, revision: str, entry: Mapping[str, Any]) -> RemoteFile:
    path = str(entry["Path"])
    if not path or not safe(path):
        raise ValueError(f"a sound path: {path!r}")
    url = f"{base}/repo?Revision={quote(revision, safe='')}&FilePath={quote(path, safe='')}"
    return RemoteFile(path, int(entry["Size"]), url, sha256=str(entry.get("Sha256") or "").lower())
