"""The files that a policy names."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from bartizan.policy import PolicyError
from bartizan.policy.load import read_policy

POLICY = """\
tls: {certificate: cert.pem, key: cert.key}
upstreams:
  data: {servers: [https://data.example:5200], ca: ca.pem}
acme: webroot
routes:
  - {prefix: /, methods: [GET], upstream: data, auth: none}
"""


def make(folder: Path, *, days: float = 90, encryption: KeySerializationEncryption | None = None) -> Path:
    """Write a policy with a certificate that lasts so long, its key, an authority and a webroot."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(9), now + timedelta(days)
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "ca.pem").write_bytes(certificate)
    (folder / "cert.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    )
    (folder / "webroot").mkdir(exist_ok=True)
    path = folder / "gateway.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def mistakes(path: Path) -> list[str]:
    """Return what is wrong, without the file's name."""
    with pytest.raises(PolicyError) as error:
        read_policy(path)
    return [line.removeprefix(f"{path}:") for line in error.value.lines()]


def test_good_files(tmp_path: Path) -> None:
    assert read_policy(make(tmp_path))[1] == ()


@pytest.mark.parametrize(("days", "word"), [(5, "expires on"), (-1, "expired on")])
def test_an_ending_certificate_is_told_but_served(tmp_path: Path, days: float, word: str) -> None:
    (doubt,) = read_policy(make(tmp_path, days=days))[1]
    assert (doubt.line, doubt.key) == (1, "tls.certificate")
    assert doubt.message.startswith(word)


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make(other)
    path = make(tmp_path)
    (tmp_path / "cert.key").write_bytes((other / "cert.key").read_bytes())
    (said,) = mistakes(path)
    assert said == (
        f"1: tls.key: {tmp_path}/cert.key is not the key of {tmp_path}/cert.pem;"
        " its first certificate must be the server's own"
    )


def test_a_key_with_a_passphrase(tmp_path: Path) -> None:
    path = make(tmp_path, encryption=BestAvailableEncryption(b"secret"))
    (said,) = mistakes(path)
    assert "is protected by a passphrase, which nobody types at a restart" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "cert.pem",
            "1: tls.certificate: {file} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        ),
        ("cert.key", "1: tls.key: {file} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"),
        (
            "ca.pem",
            "3: upstreams.data.ca: {file} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        ),
    ],
)
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_is_not_what_it_should_be(tmp_path: Path, name: str, said: str, content: bytes) -> None:
    path = make(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert mistakes(path) == [said.format(file=tmp_path / name)]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = make(tmp_path)
    (tmp_path / "webroot").rmdir()
    (said,) = mistakes(path)
    assert said.startswith(f"4: acme: {tmp_path}/webroot is not a folder")
