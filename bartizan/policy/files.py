"""The files that a policy names: they must be there, and be what the policy takes them for."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bartizan.policy.guards import Addresses
from bartizan.policy.listeners import Tls
from bartizan.policy.models import Policy
from bartizan.policy.problems import Finding, Key
from bartizan.ranges import RangesError, read_list

SOON: Final = timedelta(days=7)


class _UnusableError(Exception):
    """A file that can't be used; the message says why."""


def unusable_files(policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with the files that a policy names."""
    if policy.tls is not None:
        yield from _certificate(policy.tls)
    for section, services in (("issuers", policy.issuers), ("upstreams", policy.upstreams)):
        for name, service in services.items():
            if service.ca is not None:
                yield from _judged((section, name, "ca"), _certificates, service.ca)
    if policy.acme is not None and not policy.acme.is_dir():
        yield Finding(
            ("acme",),
            f"{policy.acme} is not a folder; make it, or leave acme out to use the state folder's own",
        )
    yield from _address_lists(policy)
    yield from _rules(policy)


def _rules(policy: Policy) -> Iterator[Finding]:
    """What the files say is judged where the rules are compiled."""
    rules = policy.rules
    for field, folder in (("source", rules.source), ("plugins", rules.plugins)):
        if isinstance(folder, Path) and not folder.is_dir():
            yield Finding(("rules", field), f"{folder} is not a folder")
    for field, files in (("before", rules.before), ("after", rules.after)):
        for index, path in enumerate(files):
            yield from _judged(("rules", field, index), Path.read_bytes, path)


def _address_lists(policy: Policy) -> Iterator[Finding]:
    holders: list[tuple[Key, Addresses | None]] = [(("defaults", "addresses"), policy.defaults.addresses)]
    holders += [
        (("routes", index, "addresses"), route.addresses)
        for index, route in enumerate(policy.routes)
        if "addresses" in route.model_fields_set
    ]
    judged: dict[Path, str | None] = {}  # lists are long, and routes share them
    for key, addresses in holders:
        for field in ("allow_files", "deny_files") if addresses is not None else ():
            for index, path in enumerate(getattr(addresses, field)):
                if path not in judged:
                    judged[path] = next((found.message for found in _judged((), _address_list, path)), None)
                message = judged[path]
                if message is not None:
                    yield Finding((*key, field, index), message)


def expiring(policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong soon, or already, with a certificate that can be used otherwise."""
    if policy.tls is None:
        return
    leaf = _certificates(policy.tls.certificate)[0]
    end = leaf.not_valid_after_utc
    now = datetime.now(UTC)
    if end <= now:
        yield Finding(
            ("tls", "certificate"),
            f"expired on {end:%Y-%m-%d}; clients will refuse it: renew it, then reload",
        )
    elif end <= now + SOON:
        message = f"expires on {end:%Y-%m-%d at %H:%M} UTC; renew it, then reload"
        yield Finding(("tls", "certificate"), message)


def _judged(key: Key, judge: Callable[[Path], object], path: Path) -> Iterator[Finding]:
    try:
        judge(path)
    except OSError as error:
        yield Finding(key, f"{path} can't be read: {(error.strerror or str(error)).lower()}")
    except (_UnusableError, RangesError) as error:
        yield Finding(key, str(error))


def _address_list(path: Path) -> None:
    for _ in read_list(path):
        pass


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise _UnusableError(
            f"{path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
        ) from error


def _public_key(path: Path) -> bytes:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except TypeError as error:
        raise _UnusableError(
            f"{path} is protected by a passphrase, which nobody types at a restart; store the key without"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _UnusableError(
            f"{path} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        ) from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _certificate(tls: Tls) -> Iterator[Finding]:
    problems = [
        *_judged(("tls", "certificate"), _certificates, tls.certificate),
        *_judged(("tls", "key"), _public_key, tls.key),
    ]
    yield from problems
    if problems:
        return
    leaf = _certificates(tls.certificate)[0]
    if leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != _public_key(
        tls.key
    ):
        yield Finding(
            ("tls", "key"),
            f"{tls.key} is not the key of {tls.certificate}; its first certificate must be the server's own",
        )
