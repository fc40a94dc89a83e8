"""What a person writes for a model elsewhere, taken apart: scheme, place, revision, pick.

    hf:OWNER/REPO[@REVISION][:FILE or QUANTIZATION]     Hugging Face; also hf.co/..., and addresses of its pages
    ms:OWNER/REPO[@REVISION][:FILE or QUANTIZATION]     ModelScope; also addresses of its pages
    https://HOST/PATH[#sha256=HEX]                      any server
    file:PATH                                           a file or folder
    hub:NAME[:VERSION]                                  a penjing hub
    NAME[:SIZE[:QUANTIZATION]]                          a short name of the catalogue

Does not know: whether any of it exists, which short names there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from penjing.sources.faults import NotAReference

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
SHORT = re.compile(r"[A-Za-z0-9][\w.+-]*(:[\w.+-]+){0,2}")
SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+]*):(?P<rest>.*)", re.DOTALL)
PAGES = {
    "huggingface.co": "hf",
    "www.huggingface.co": "hf",
    "hf.co": "hf",
    "hf-mirror.com": "hf",
    "modelscope.cn": "ms",
    "www.modelscope.cn": "ms",
}
"""Hosts whose pages people copy from the browser, with the scheme they mean."""
REPOSITORIES = ("hf", "ms")
OWNER_AND_REPO = "it wants OWNER/REPO"
CATALOGUE = "catalogue"


@dataclass(frozen=True)
class Reference:
    """`scheme` is `hf`, `ms`, `https`, `http`, `file`, `hub`, `catalogue` or a plug-in's. `place` is the repository,
    the whole URL, the path or the name; `revision` and `pick` are empty where nothing was said."""

    scheme: str
    place: str
    revision: str = ""
    pick: str = ""

    def __str__(self) -> str:
        """As a person would write it; `parse` reads it back."""
        if self.scheme == CATALOGUE:
            return self.place + (f":{self.pick}" if self.pick else "")
        if self.scheme in ("http", "https"):
            return self.place + (f"#{self.pick}" if self.pick else "")
        revision = f"@{self.revision}" if self.revision and self.scheme != "hub" else ""
        version = f":{self.revision}" if self.revision and self.scheme == "hub" else ""
        return f"{self.scheme}:{self.place}{revision}{version}" + (f":{self.pick}" if self.pick else "")


def parse(text: str) -> Reference:
    """Take `text` apart. Raises NotAReference.

    >>> parse("hf:Qwen/Qwen3-4B-GGUF@main:Q4_K_M")
    Reference(scheme='hf', place='Qwen/Qwen3-4B-GGUF', revision='main', pick='Q4_K_M')
    """
    if not text or not text.isprintable() or text != text.strip():
        raise NotAReference(text=text, detail="it is empty, or has spaces around it or characters that cannot be seen")
    if text.startswith(("http://", "https://")):
        return _address(text)
    host, _, rest = text.partition("/")
    if host.lower() in PAGES and rest:
        return _address(f"https://{text}")
    parts = SCHEME.fullmatch(text)
    if parts and parts["scheme"] in REPOSITORIES:
        return _repository(text, parts["scheme"], parts["rest"])
    if parts and parts["scheme"] == "file":
        return _path(text, parts["rest"])
    if parts and parts["scheme"] == "hub":
        name, _, version = parts["rest"].partition(":")
        _require(text, bool(name), "it wants hub:NAME[:VERSION]")
        return Reference("hub", name, version)
    return _short(text)


def remote(text: str) -> bool:
    """Whether `text` begins with a scheme of its own, so that it can be no path and no short name here."""
    parts = SCHEME.fullmatch(text)
    known = (*REPOSITORIES, "file", "hub", "http", "https")
    return bool(parts and parts["scheme"] in known) or text.partition("/")[0].lower() in PAGES


def _short(text: str) -> Reference:
    _require(text, bool(SHORT.fullmatch(text)), "it is neither a short name nor begins with hf:, ms:, https: or file:")
    name, _, rest = text.partition(":")
    size, _, pick = rest.partition(":")
    return Reference(CATALOGUE, f"{name}:{size}" if size else name, pick=pick)


def _repository(text: str, scheme: str, rest: str) -> Reference:
    place, _, pick = rest.partition(":")
    place, at, revision = place.partition("@")
    place = place.strip("/")
    _require(text, bool(REPOSITORY.fullmatch(place)) and ".." not in place, OWNER_AND_REPO)
    _require(text, scheme == "hf" or "/" in place, OWNER_AND_REPO)
    _require(text, not at or bool(revision), "nothing follows the @")
    _require(text, safe(pick), "the file's path leads out of its repository")
    return Reference(scheme, place, revision, pick)


def _path(text: str, rest: str) -> Reference:
    if rest.startswith("//"):
        parts = urlsplit(text)
        _require(text, parts.netloc in ("", "localhost"), "the file is on another machine")
        rest = unquote(parts.path)
    _require(text, bool(rest), "it wants file:PATH")
    return Reference("file", rest)


def _address(text: str) -> Reference:
    try:
        parts = urlsplit(text)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        sound = False
    _require(text, sound and not any(map(str.isspace, text)), "it is no sound address")
    _require(text, parts.username is None, "a user name in it would be shown in messages; leave it out")
    scheme = PAGES.get(str(parts.hostname).lower(), "")
    if scheme and parts.path.strip("/"):
        return _page(text, scheme, unquote(parts.path).strip("/"))
    return Reference(parts.scheme, text.partition("#")[0], pick=_fragment(text, parts.fragment))


def _fragment(text: str, fragment: str) -> str:
    """`sha256=HEX`, as package indexes write it; nothing else means anything here."""
    sound = not fragment or bool(re.fullmatch(r"sha256=[0-9a-fA-F]{64}", fragment))
    _require(text, sound, "after # only sha256= and 64 hex digits are known")
    return fragment.lower()


def _page(text: str, scheme: str, path: str) -> Reference:
    """A page of a model site: OWNER/REPO, .../tree/REVISION, .../blob/REVISION/FILE, .../resolve/REVISION/FILE."""
    steps = path.split("/")
    if steps[0] == "models":
        del steps[0]
    if steps[0] in ("datasets", "spaces"):
        raise NotAReference(text=text, detail="it is a data set or an app, not a model")
    place, pick = "/".join(steps[:2]), ""
    if ":" in place:  # hf.co/OWNER/REPO:Q4_K_M, as Ollama writes it
        place, _, pick = place.partition(":")
    rest = steps[2:]
    if rest[:1] == ["file"] and rest[1:2] == ["view"]:  # ModelScope's pages of a file
        rest = ["blob", *rest[2:]]
    known = len(rest) >= 2 and rest[0] in ("tree", "blob", "resolve", "raw")
    revision = rest[1] if known else ""
    pick = "/".join(rest[2:]) if known and rest[0] != "tree" else pick
    return _repository(text, scheme, place + (f"@{revision}" if revision else "") + (f":{pick}" if pick else ""))


def safe(path: str) -> bool:
    """Whether a relative path from elsewhere stays within the folder it is put into."""
    steps = path.replace("\\", "/").split("/")
    return not path or not (
        path.startswith(("/", "\\")) or ".." in steps or "\0" in path or re.match(r"[A-Za-z]:", path)
    )


def _require(text: str, sound: bool, detail: str) -> None:
    if not sound:
        raise NotAReference(text=re.sub(r"//[^/@]*@", "//...@", text), detail=detail)
