"""A certificate authority and a certificate for development: HTTPS on this machine without a purchase."""

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bartizan.layout import State

AUTHORITY_LIFE: Final = timedelta(days=3650)
SERVER_LIFE: Final = timedelta(days=90)
RENEW_BEFORE: Final = timedelta(days=30)
# Clocks of the machines that connect may be a little behind.
BACKDATED: Final = timedelta(hours=1)

Name = x509.DNSName | x509.IPAddress


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_development_certificate(state: State, host: str, now: datetime | None = None) -> bool:
    """Make the development authority and certificate, or renew them, where that is needed.

    Args:
        state: says where they lie.
        host: the public origin's host; the certificate is good for it, localhost, 127.0.0.1 and ::1.
        now: the time to judge by; None for the clock's.

    Returns:
        Whether a new certificate was made.
    """
    now = now or datetime.now(UTC)
    names = _names(host)
    state.tls.mkdir(parents=True, exist_ok=True)
    authority = _authority(state)
    if (
        authority is None
        or not _lasts(authority.certificate, now)
        or not _covers(authority.certificate, names)
    ):
        authority = _new_authority(names, now)
        _write(state.ca_key, _private(authority.key), 0o600)
        _write(state.ca_certificate, authority.certificate.public_bytes(Encoding.PEM), 0o644)
    elif _good(state, authority, names, now):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _new_certificate(authority, key, names, now)
    _write(state.server_key, _private(key), 0o600)
    _write(state.server_certificate, certificate.public_bytes(Encoding.PEM), 0o644)
    return True


def _names(host: str) -> tuple[Name, ...]:
    names: dict[Name, None] = {
        x509.DNSName("localhost"): None,
        x509.IPAddress(ip_address("127.0.0.1")): None,
        x509.IPAddress(ip_address("::1")): None,
    }
    try:
        names[x509.IPAddress(ip_address(host))] = None
    except ValueError:
        names[x509.DNSName(host)] = None
    return tuple(names)


def _authority(state: State) -> Authority | None:
    """Return the authority on disk; None where there is none that can be used."""
    try:
        certificate = x509.load_pem_x509_certificate(state.ca_certificate.read_bytes())
        key = load_pem_private_key(state.ca_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return Authority(certificate, key)


def _good(state: State, authority: Authority, names: tuple[Name, ...], now: datetime) -> bool:
    """Return whether what is on disk is the authority's, is for these names, lasts, and fits its key."""
    try:
        certificate = x509.load_pem_x509_certificate(state.server_certificate.read_bytes())
        key = load_pem_private_key(state.server_key.read_bytes(), password=None)
        certificate.verify_directly_issued_by(authority.certificate)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
        return False
    return (
        _lasts(certificate, now) and set(held) == set(names) and key.public_key() == certificate.public_key()
    )


def _lasts(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE


def _permitted(name: Name) -> x509.GeneralName:
    if isinstance(name, x509.IPAddress):
        return x509.IPAddress(ip_network(str(name.value)))
    return name


def _covers(authority: x509.Certificate, names: tuple[Name, ...]) -> bool:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    return {_permitted(name) for name in names} <= set(constraints.permitted_subtrees or ())


def _new_authority(names: tuple[Name, ...], now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial in the name keeps two authorities apart in a trust store that still holds an old one.
    serial = x509.random_serial_number()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bartizan"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Bartizan development CA {serial:x}"[:64]),
        ]
    )
    builder = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), serial, now - BACKDATED, now + AUTHORITY_LIFE
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # People put it into their trust stores: should its key leak, it is good for no other site.
        .add_extension(x509.NameConstraints([_permitted(name) for name in names], None), critical=True)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def _new_certificate(
    authority: Authority, key: ec.EllipticCurvePrivateKey, names: tuple[Name, ...], now: datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bartizan development")])
    signer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder(
            authority.certificate.subject,
            subject,
            key.public_key(),
            x509.random_serial_number(),
            now - BACKDATED,
            now + SERVER_LIFE,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place as a whole; a key is never readable by others, not for a moment."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
