"""The verb `phone`: the chat page for phones on the local network, with HTTPS, behind a code to scan."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.cli.model import engine_flags
from penjing.cli.verb import argument, option, verb
from penjing.errors import InputError, MachineError, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penjing.cli.engines import Served
    from penjing.export.offer import Offer
    from penjing.gateway.app import Gateway
    from penjing.gateway.certificate import Certificates
    from penjing.gateway.serve import Said

PORT = 8443
FOLDER, KEY = "phone", "key"
KEY_BYTES = 16
BLACK_ON_WHITE, PLAIN = "\033[30;107m", "\033[0m"
BORDER = 2
ELSEWHERE = ("192.0.2.1", 9)
"""An address that is nobody's (RFC 5737): nothing is sent there, the system only says from where it would be."""


class NotPrivate(InputError):
    """Facts: `address`."""

    template = "{address} is no address of a local network; a certificate for it would not be trusted."
    hint = "Leave --address out, or put the page behind a web server that has a certificate: docs/en/page.md"
    code = "not_private"


class NoNetwork(MachineError):
    """Facts: none."""

    template = "This machine has no address in a local network."
    hint = "Join the phone's Wi-Fi, or name the address: penjing phone --address 192.168.1.2"
    code = "no_network"


@dataclass(frozen=True)
class PhoneSettings:
    """`port` to listen on; `address` is the one that phones are told, "" for those found."""

    port: int = PORT
    address: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingError(name="port", value=self.port, wanted="a port (0 ... 65535)", source="")


@verb(
    "phone",
    help="Serve the chat page to phones on this network, with HTTPS and a code to scan.",
    examples=(
        ("penjing phone", "The built-in model; after the first visit it answers without a network."),
        ("penjing phone ./model.gguf", "A model of your own, which the phone may keep."),
        ("penjing phone --no-key", "For everybody on this network."),
    ),
)
@argument("models", metavar="[MODEL ...]", many=True)
@engine_flags
@option("--port", metavar="NUMBER", help="Which port; 8443 where not given, 0 for any that is free.")
@option("--address", metavar="ADDRESS", help="This machine's address in the phone's network; found where not given.")
@option("--no-key", is_flag=True, help="Let in everybody on this network, not only who scanned the code.")
def phone(**given: Any) -> None:
    """The door."""
    from penjing.cli.engines import served
    from penjing.cli.model import require_known_sections
    from penjing.files import home
    from penjing.gateway.certificate import certificates
    from penjing.gateway.serve import run
    from penjing.settings import load

    require_known_sections()
    settings = load(PhoneSettings, "phone", {name: given[name] for name in ("port", "address")}).value
    addresses = (settings.address,) if settings.address else local_addresses()
    _require_private(addresses)
    engines = served(given["models"], given)
    made = certificates(home() / FOLDER, (*addresses, *_names()))
    key = "" if given["no_key"] else _key(home() / FOLDER / KEY)
    gateway = _gateway(engines, key, made)
    said = partial(tell, gateway, addresses, key, made)
    run(gateway, "0.0.0.0", settings.port, announce=said, tls=made.context())


def _gateway(engines: Mapping[str, Served], key: str, made: Certificates) -> Gateway:
    from penjing.cli.serve import ServeSettings, gateway_options, policy_options
    from penjing.gateway.app import Gateway

    options = gateway_options(engines, policy_options(), ServeSettings(api_keys=(key,) if key else ()))
    offers = tuple(_offers(engines))
    authority = (made.authority, made.fingerprint)
    options = replace(options, offers=offers, authority=authority)
    return Gateway({name: each.engine for name, each in engines.items()}, options)


def _offers(engines: Mapping[str, Served]) -> list[Offer]:
    """The models of this machine as the phone may take them; a sealed one stays here."""
    from penjing.cli.export import checked
    from penjing.cli.progress import shown

    found = {name: each.found for name, each in engines.items() if each.found is not None}
    with shown() as report:
        return [
            checked(each.make(report), name, report)
            for name, each in found.items()
            if each.kind not in ("guide", "sealed")
        ]


def local_addresses() -> tuple[str, ...]:
    """IPv4 addresses of this machine in local networks, the one that it goes out with first. Raises NoNetwork."""
    import psutil

    found = [
        each.address
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family == socket.AF_INET and _is_private(each.address) and not each.address.startswith("127.")
    ]
    out = _way_out()
    ordered = sorted(dict.fromkeys(found), key=lambda address: address != out)
    if not ordered:
        raise NoNetwork
    return tuple(ordered)


def _way_out() -> str:
    """The address that this machine would send from; "" where it has no way out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def _is_private(address: str) -> bool:
    from ipaddress import ip_address, ip_network

    from penjing.gateway.certificate import PRIVATE_V4

    try:
        asked = ip_address(address)
    except ValueError:
        return False
    return any(asked in ip_network(each) for each in PRIVATE_V4)


def _require_private(addresses: tuple[str, ...]) -> None:
    for address in addresses:
        if not _is_private(address):
            raise NotPrivate(address=address)


def _names() -> tuple[str, ...]:
    """What this machine is called in its network."""
    name = socket.gethostname().partition(".")[0]
    own = (f"{name}.local",) if name.isascii() and name.replace("-", "").isalnum() else ()
    return (*own, "localhost", "127.0.0.1")


def _key(path: Path) -> str:
    """The key that the code carries; the same at the next start, so that a phone scans it once."""
    from secrets import token_urlsafe

    from penjing.files import write_whole

    try:
        kept = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        kept = ""
    if not kept:
        kept = token_urlsafe(KEY_BYTES)
        write_whole(path, kept.encode() + b"\n", private=True)
    return kept


def tell(gateway: Gateway, addresses: tuple[str, ...], key: str, made: Certificates, said: Said) -> None:
    """What to do with the phone, once the models are there; before and after that as `serve` says it."""
    from penjing.cli.serve import tell as tell_serving

    if said.event != "ready":
        if said.event != "listening":
            tell_serving(gateway, None, said)
        return
    for name, error in gateway.house.failed.items():
        talk.warn("{model} could not be started: {detail}", model=name, detail=error.message())
    port = said.url.rpartition(":")[2]
    url = f"https://{addresses[0]}:{port}/" + (f"#key={key}" if key else "")
    if not talk.quiet():
        print(code(url, talk.colours(sys.stderr)), file=sys.stderr, flush=True)
    talk.data(url)
    for address in addresses[1:]:
        talk.note("Also: {url}", url=url.replace(addresses[0], address, 1))
    talk.note("1. Scan the code with the phone, and go on where it warns that it does not know the certificate.")
    talk.note("2. To chat without a network, trust this house's certificate: {url}", url=_certificate_url(url))
    talk.note("   Its SHA-256 fingerprint: {fingerprint}", fingerprint=made.fingerprint)
    if not key:
        talk.warn("Anybody who can reach this machine can use this server: it has no --api-key.")
    talk.note("Ctrl-C stops.")


def _certificate_url(url: str) -> str:
    return url.partition("#")[0] + "authority.crt"


def code(text: str, coloured: bool) -> str:
    """A QR code of `text` (ISO/IEC 18004) in half blocks. Without colours it is for a dark terminal."""
    import segno

    rows = [[bool(cell) for cell in row] for row in segno.make(text, error="m", micro=False).matrix_iter(border=BORDER)]
    rows += [[False] * len(rows[0])] if len(rows) % 2 else []
    blocks = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        dark = (blocks[(top is coloured, bottom is coloured)] for top, bottom in zip(upper, lower, strict=True))
        line = "".join(dark)
        lines.append(f"{BLACK_ON_WHITE}{line}{PLAIN}" if coloured else line)
    return "\n".join(lines)
