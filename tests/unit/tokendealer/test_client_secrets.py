"""Client secrets and their keyed hash."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from tokendealer.client_secrets import SecretHasher, generate_secret


def test_a_secret_has_256_bits_and_needs_no_encoding() -> None:
    secrets = {generate_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(base64.urlsafe_b64decode(secret + "=")) == 32 for secret in secrets)


def test_the_hash_is_keyed_and_belongs_to_the_client() -> None:
    one, other = SecretHasher(b"a" * 32), SecretHasher(b"b" * 32)
    digest = one.digest("reader", "secret")
    assert digest == hmac.new(b"a" * 32, b"reader\0secret", hashlib.sha256).digest()
    assert digest != other.digest("reader", "secret")
    assert digest != one.digest("writer", "secret")
    assert digest != one.digest("reader", "Secret")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_pepper_of_another_length(length: int) -> None:
    with pytest.raises(ValueError, match=f"has {length} bytes instead of 32"):
        SecretHasher(bytes(length))
