"""What a registered client is."""

from __future__ import annotations

from dataclasses import dataclass, field

CLIENT_ID = r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}"
"""What a client may be called: printable, and without what a header, a log or a terminal could misread."""


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client.

    Attributes:
        client_id: Its name.
        scopes: What it may ask for.
        audiences: For which services.
        digests: The keyed hashes of its secrets.
        disabled: Whether it gets no tokens any more.
    """

    client_id: str
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    digests: tuple[bytes, ...] = field(repr=False)
    disabled: bool
