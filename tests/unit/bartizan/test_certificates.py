"""The development certificate: good where it should be, for nothing else, and renewed in time."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from bartizan.certificates import AUTHORITY_LIFE, RENEW_BEFORE, SERVER_LIFE, ensure_development_certificate
from bartizan.layout import State

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def files(state: State) -> dict[str, bytes]:
    """Return what lies in the folder."""
    return {path.name: path.read_bytes() for path in state.tls.iterdir()}


def verify(state: State, name: str, now: datetime = NOW) -> None:
    """Verify the certificate as a strict client does (RFC 5280)."""
    authority = x509.load_pem_x509_certificate(state.ca_certificate.read_bytes())
    leaf = x509.load_pem_x509_certificate(state.server_certificate.read_bytes())
    PolicyBuilder().store(Store([authority])).time(now).build_server_verifier(x509.DNSName(name)).verify(
        leaf, []
    )


def test_it_is_good_for_the_origin_and_this_machine(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert ensure_development_certificate(state, "api.example.com", NOW)
    verify(state, "api.example.com")
    verify(state, "localhost")
    leaf = x509.load_pem_x509_certificate(state.server_certificate.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    with pytest.raises(VerificationError):
        verify(state, "other.example.com")


def test_the_authority_is_good_for_nothing_else(tmp_path: Path) -> None:
    ensure_development_certificate(State(tmp_path), "localhost", NOW)
    authority = x509.load_pem_x509_certificate((tmp_path / "tls" / "ca.pem").read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert len(constraints.value.permitted_subtrees or ()) == 3
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)


def test_openssl_takes_the_key_for_the_certificate(tmp_path: Path) -> None:
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(state.server_certificate, state.server_key)


def test_keys_are_for_nobody_else(tmp_path: Path) -> None:
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost", NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.tls.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.key": 0o600, "server.pem": 0o644}


def test_a_good_one_stays(tmp_path: Path) -> None:
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost", NOW)
    before = files(state)
    last = NOW + SERVER_LIFE - RENEW_BEFORE - timedelta(seconds=1)
    assert not ensure_development_certificate(state, "localhost", last)
    assert files(state) == before


def test_one_that_ends_soon_is_renewed_under_the_same_authority(tmp_path: Path) -> None:
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost", NOW)
    before = files(state)
    later = NOW + SERVER_LIFE - RENEW_BEFORE
    assert ensure_development_certificate(state, "localhost", later)
    after = files(state)
    assert (after["ca.pem"], after["ca.key"]) == (before["ca.pem"], before["ca.key"])
    assert after["server.pem"] != before["server.pem"]
    verify(state, "localhost", later + SERVER_LIFE - RENEW_BEFORE)


def test_an_authority_that_ends_soon_is_replaced(tmp_path: Path) -> None:
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost", NOW)
    before = files(state)
    later = NOW + AUTHORITY_LIFE - timedelta(days=1)
    assert ensure_development_certificate(state, "localhost", later)
    assert files(state)["ca.pem"] != before["ca.pem"]
    verify(state, "localhost", later)


def test_another_origin_is_another_certificate(tmp_path: Path) -> None:
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost", NOW)
    assert ensure_development_certificate(state, "a.example", NOW)
    verify(state, "a.example")
    assert not ensure_development_certificate(state, "a.example", NOW)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem", "server.key"])
@pytest.mark.parametrize("damage", [None, b"", b"not PEM"])
def test_what_is_lost_or_broken_is_made_anew(tmp_path: Path, name: str, damage: bytes | None) -> None:
    state = State(tmp_path)
    ensure_development_certificate(state, "localhost", NOW)
    broken = state.tls / name
    broken.unlink() if damage is None else broken.write_bytes(damage)
    assert ensure_development_certificate(state, "localhost", NOW)
    verify(state, "localhost")
    assert not ensure_development_certificate(state, "localhost", NOW)


@pytest.mark.parametrize("pair", ["ca", "server"])
def test_a_certificate_of_another_authority_or_key_is_made_anew(tmp_path: Path, pair: str) -> None:
    state, other = State(tmp_path / "one"), State(tmp_path / "two")
    ensure_development_certificate(state, "localhost", NOW)
    ensure_development_certificate(other, "localhost", NOW)
    (state.tls / f"{pair}.key").write_bytes((other.tls / f"{pair}.key").read_bytes())
    assert ensure_development_certificate(state, "localhost", NOW)
    verify(state, "localhost")
