"""HTTPS on the local network: a certificate authority of this machine's own, and a certificate for its addresses.

A page can only be kept on a phone when it comes over HTTPS that the phone trusts, and nobody signs certificates for
addresses of a local network. So the phone is told once to trust this machine's authority. That one can do no harm
elsewhere: its certificate allows it private addresses and names that end in `.local` only (name constraints, RFC 5280,
4.2.1.10), and its key lies here, readable by its owner alone.

Does not know: who listens.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.files import write_whole

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY, AUTHORITY_KEY = "authority.pem", "authority.key"
SERVER, SERVER_KEY = "server.pem", "server.key"
AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=397)
"""Apple's systems take no certificate that is valid for more than 398 days (support.apple.com/102028)."""
EARLY = timedelta(days=30)
"""So long before its end a certificate is made anew."""
PRIVATE_V4 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
PRIVATE_V6 = ("fc00::/7", "fe80::/10", "::1/128")
LOCAL = ("local", "localhost", "lan", "home.arpa", "internal")
"""Names that nobody outside can own (RFC 6762, 6761, 8375; ICANN's .internal)."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Certificates:
    """`authority`: its certificate, DER, for a phone to trust. `fingerprint`: its SHA-256, as phones show it. `server`
    and `key`: files in PEM that a server shows and proves itself with."""

    authority: bytes
    fingerprint: str
    server: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a listening socket."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(self.server, self.key)
        return made


def certificates(folder: Path, hosts: Iterable[str], now: datetime | None = None) -> Certificates:
    """The certificates kept in `folder`, made or renewed where they are missing, end soon or do not name all `hosts`
    (addresses and names). Raises OSError."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    now = now or datetime.now(timezone.utc)
    wanted = sorted(set(hosts))
    authority, key = _authority(folder, now)
    kept = _read(folder / SERVER)
    if kept is None or kept.issuer != authority.subject or _ends(kept, now) or not set(wanted) <= _named(kept):
        _sign(folder, authority, key, wanted, now)
    digest = authority.fingerprint(hashes.SHA256()).hex().upper()
    pairs = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    return Certificates(authority.public_bytes(Encoding.DER), pairs, folder / SERVER, folder / SERVER_KEY)


def _authority(folder: Path, now: datetime) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    kept = _read(folder / AUTHORITY)
    if kept is not None and not _ends(kept, now) and (folder / AUTHORITY_KEY).is_file():
        key = serialization.load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return kept, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = "penjing (this house only)"
    subtrees: list[x509.GeneralName] = [x509.DNSName(name) for name in LOCAL]
    subtrees += [x509.IPAddress(IPv4Network(each)) for each in PRIVATE_V4]
    subtrees += [x509.IPAddress(IPv6Network(each)) for each in PRIVATE_V6]
    made = (
        _builder(name, key, now, AUTHORITY_LIFE)
        .issuer_name(_named_as(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(subtrees, None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _keep(folder, AUTHORITY, AUTHORITY_KEY, made, key)
    return made, key


def _sign(
    folder: Path, authority: x509.Certificate, signer: EllipticCurvePrivateKey, hosts: list[str], now: datetime
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.IPAddress(address) if (address := _address(host)) else x509.DNSName(host) for host in hosts]
    made = (
        _builder("penjing", key, now, SERVER_LIFE)
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _keep(folder, SERVER, SERVER_KEY, made, key)


def _builder(name: str, key: EllipticCurvePrivateKey, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(_named_as(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a phone's clock may be a little behind
        .not_valid_after(now + life - timedelta(hours=1))
    )


def _named_as(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _keep(folder: Path, name: str, key_name: str, made: x509.Certificate, key: EllipticCurvePrivateKey) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(folder / key_name, pem, private=True)
    write_whole(folder / name, made.public_bytes(Encoding.PEM))


def _read(path: Path) -> x509.Certificate | None:
    """The certificate there, None where there is none or what is there is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _ends(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc - EARLY < now


def _named(certificate: x509.Certificate) -> set[str]:
    from cryptography import x509

    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {
        *found.get_values_for_type(x509.DNSName),
        *(str(each) for each in found.get_values_for_type(x509.IPAddress)),
    }


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
