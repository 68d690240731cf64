"""Tokens that a case describes: a good one in which something was changed, left out, or signed otherwise.

A case is a mapping. All members are optional:

    alg             the key that signs, by its algorithm (RS512)
    header, claims  members to change; {"$absent": true} takes one away, {"$now": -5} is a time,
                    {"$times": 300, "text": "x"} a long text, {"$jwk": true} the public key,
                    {"$other_jwk": true} another; "$kid" and "$issuer" are put in
    header_text, claims_text    the JSON text itself; "$members" is what it would have been, braces off
    edit            {"header" | "payload" | "signature": what is done to the part's base64url text}; a changed
                    header or payload is signed as changed
    signature       how it is signed (good), below
    shape           how the parts are put together (compact), below
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# The order n of each curve's group (SEC 2 section 2): r and s must be below it.
_ORDERS: Final = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
    "ES512": int("1" + "F" * 65 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
}


def b64url(data: bytes) -> str:
    """Encode as JOSE does, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key(Protocol):
    """What a forgery needs of a signing key."""

    @property
    def kid(self) -> str: ...
    @property
    def alg(self) -> str: ...
    @property
    def private(self) -> Any: ...
    def jwk(self) -> dict[str, Any]: ...
    def sign(self, message: bytes, alg: str | None = None) -> bytes: ...
    def other(self) -> Key: ...


class Forgery:
    """One token under construction: a case, applied to what would have been a good token."""

    def __init__(
        self, issuer: str, key: Key, claims: dict[str, Any], case: Mapping[str, Any], now: int
    ) -> None:
        self.issuer = issuer
        self.key = key
        self.claims = claims
        self.case = case
        self.now = now

    def fill(self, value: Any) -> Any:
        """Put in what only the run knows."""
        match value:
            case str():
                value = value.replace("$kid", self.key.kid).replace("$issuer", self.issuer)
            case list():
                value = [self.fill(item) for item in value]
            case {"$now": offset}:
                value = self.now + offset
            case {"$times": times, "text": text}:
                value = text * times
            case {"$jwk": True}:
                value = self.key.jwk()
            case {"$other_jwk": True}:
                value = self.key.other().jwk()
            case dict():
                value = {name: self.fill(item) for name, item in value.items()}
        return value

    def part(self, name: str, default: dict[str, Any]) -> str:
        """The text of the header or the claims, before base64url."""
        changed = {**default, **self.fill(self.case.get(name, {}))}
        kept = {member: value for member, value in changed.items() if value != {"$absent": True}}
        text = json.dumps(kept, separators=(",", ":"))
        template = self.case.get(f"{name}_text")
        return text if template is None else str(self.fill(template)).replace("$members", text[1:-1])

    def token(self) -> str:
        """Build it."""
        header = self.part("header", {"typ": "at+jwt", "alg": self.key.alg, "kid": self.key.kid}).encode()
        payload = self.part("claims", self.claims).encode()
        edits = self.case.get("edit", {})
        first, second = (
            _edit(b64url(text + b" " * (how == "left-over bits" and len(text) % 3 == 0)), how)
            for text, how in ((header, edits.get("header")), (payload, edits.get("payload")))
        )
        made = _signature(self.case.get("signature", "good"), self.key, f"{first}.{second}".encode())
        shape = _SHAPES[self.case.get("shape", "compact")]
        return shape(first, second, _edit(b64url(made), edits.get("signature")))


def _signature(how: str, key: Key, message: bytes) -> bytes:
    kind, _, detail = how.partition(":")
    simple: dict[str, Callable[[], bytes]] = {
        "good": lambda: key.sign(message),
        "as": lambda: key.sign(message, detail),
        "blank": lambda: b"",
        "zeros": lambda: bytes(len(key.sign(message))),
        "hex": lambda: bytes.fromhex(detail),
        "other key": lambda: key.other().sign(message),
        "other message": lambda: key.sign(message + b"x"),
        "hmac": lambda: jwt.get_algorithm_by_name(detail.split()[0]).sign(
            message, _hmac_secret(detail.split()[1], key)
        ),
        "truncated": lambda: key.sign(message)[:-1],
        "extended": lambda: key.sign(message) + b"\0",
        "ecdsa": lambda: _ecdsa(detail, key, message),
    }
    return simple[kind]()


def _hmac_secret(form: str, key: Key) -> bytes:
    """The public key's bytes in each form that somebody could take for an HMAC key."""
    public = key.private.public_key()
    spki = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forms: dict[str, Callable[[], bytes]] = {
        "spki": lambda: spki,
        "spki-stripped": spki.strip,
        "spki-der": lambda: public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "pkcs1": lambda: public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "pkcs1-stripped": lambda: public.public_bytes(Encoding.PEM, PublicFormat.PKCS1).strip(),
        "jwk": lambda: json.dumps(key.jwk()).encode(),
        "modulus": lambda: bytes(key.jwk()["n"], "ascii"),
        "empty": lambda: b"",
    }
    return forms[form]()


def _ecdsa(how: str, key: Key, message: bytes) -> bytes:
    """A raw ECDSA signature, r and s side by side, in which something is not as it should be."""
    raw = key.sign(message)
    size = len(raw) // 2
    r, s = int.from_bytes(raw[:size]), int.from_bytes(raw[size:])
    order = _ORDERS[key.alg]
    pairs = {
        "r=0": (0, s),
        "s=0": (r, 0),
        "r=s=0": (0, 0),
        "r=n": (order, s),
        "s=n": (r, order),
        "swapped": (s, r),
    }
    if how in pairs:
        r, s = pairs[how]
        return r.to_bytes(size) + s.to_bytes(size)
    forms: dict[str, bytes] = {
        "der": encode_dss_signature(r, s),
        "overlong": (r.to_bytes(size + 1) + s.to_bytes(size + 1)),
        "short": raw[: size - 1] + raw[size:-1],
        "trailing": raw + b"\0",
    }
    return forms[how]


def _edit(encoded: str, how: str | None) -> str:
    """The text of one part with something done to it that a lax decoder does not see."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if how is None:
        return encoded
    if how == "left-over bits":
        assert len(encoded) % 4 != 0, "this part has no bits left over: change its length"
        return encoded[:-1] + alphabet[alphabet.index(encoded[-1]) + 1]
    middle = len(encoded) // 2
    edits: dict[str, Callable[[], str]] = {
        "padding": lambda: encoded + "=" * (-len(encoded) % 4 or 4),
        "padding and more": lambda: encoded + "==AAAA",
        "line feed at the end": lambda: encoded + "\n",
        "space inside": lambda: encoded[:middle] + " " + encoded[middle:],
        "tab inside": lambda: encoded[:middle] + "\t" + encoded[middle:],
        "standard alphabet": lambda: encoded.translate(str.maketrans("-_", "+/"))[:-1] + "/",
        "a letter more": lambda: encoded + "A" * ((1 - len(encoded)) % 4 or 4),
        "non-ASCII": lambda: encoded[:middle] + "\u00e9" + encoded[middle:],
        "percent-encoded": lambda: encoded[:middle] + f"%{ord(encoded[middle]):02x}" + encoded[middle + 1 :],
        "empty": lambda: "",
        "first letter changed": lambda: ("A" if encoded[0] != "A" else "B") + encoded[1:],
    }
    return edits[how]()


_SHAPES: Final[dict[str, Callable[[str, str, str], str]]] = {
    "compact": lambda h, p, s: f"{h}.{p}.{s}",
    "one part": lambda h, _p, _s: h,
    "two parts": lambda h, p, _s: f"{h}.{p}",
    "four parts": lambda h, p, s: f"{h}.{p}.{s}.{s}",
    "five parts": lambda h, p, s: f"{h}.{p}.{s}.{p}.{s}",
    "leading dot": lambda h, p, s: f".{h}.{p}.{s}",
    "trailing dot": lambda h, p, s: f"{h}.{p}.{s}.",
    "double dot": lambda h, p, s: f"{h}..{p}.{s}",
    "detached": lambda h, _p, s: f"{h}..{s}",
    "only dots": lambda _h, _p, _s: "..",
    "flattened JSON": lambda h, p, s: json.dumps({"protected": h, "payload": p, "signature": s}),
    "general JSON": lambda h, p, s: json.dumps(
        {"payload": p, "signatures": [{"protected": h, "signature": s}]}
    ),
    "quoted": lambda h, p, s: f'"{h}.{p}.{s}"',
    "percent-encoded dots": lambda h, p, s: f"{h}%2e{p}%2e{s}",
    "1 MB": lambda h, p, s: f"{h}.{p}.{s}" + "A" * (1024 * 1024),
    "8,193 bytes": lambda h, p, s: f"{h}.{p}.{s}" + "A" * (8193 - len(f"{h}.{p}.{s}")),
}
