"""TLS between the load and every proxy: one certificate for all of them, and a client that offers one suite.

A proxy's library chooses by its own taste from what a client offers. So what the client offers decides that
all do the same work: TLS 1.3 with the suite and the group that every implementation must or should have
(RFC 8446, section 9.1), which is what browsers offer first, too. wrk has no options for that; its
OpenSSL reads a configuration file.
"""

import os
import re
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bartizan.certificates import ensure_development_certificate
from bartizan.layout import State

PROTOCOL: Final = "TLSv1.3"
SUITE: Final = "TLS_AES_128_GCM_SHA256"
GROUP: Final = "X25519"

# What the servers take, as the gateway does.
GROUPS: Final = ("X25519", "P-256", "P-384")
ALPN: Final = ("h2", "http/1.1")

_CLIENT: Final = f"""\
openssl_conf = openssl
[openssl]
ssl_conf = ssl
[ssl]
system_default = client
[client]
MinProtocol = {PROTOCOL}
Ciphersuites = {SUITE}
Groups = {GROUP}
"""
_LINE: Final = re.compile(r"^(Protocol version|Ciphersuite|Server Temp Key): ([^,\n]+)", re.MULTILINE)


class TlsError(Exception):
    """A target does not speak TLS as all must."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files.

    Attributes:
        ca: the authority that a client trusts.
        certificate: of the proxies, for 127.0.0.1 and localhost.
        key: its private key (ECDSA, P-256).
        both: certificate and key in one file, as HAProxy has them.
        client: the configuration of a client's OpenSSL.
    """

    ca: Path
    certificate: Path
    key: Path
    both: Path
    client: Path

    @classmethod
    def made(cls, folder: Path) -> Self:
        """Make the certificate that the gateway makes for development, and write all files into a folder."""
        state = State(folder)
        ensure_development_certificate(state, "localhost")
        both, client = state.tls / "both.pem", state.tls / "client.cnf"
        both.write_bytes(state.server_certificate.read_bytes() + state.server_key.read_bytes())
        client.write_text(_CLIENT, encoding="ascii")
        return cls(state.ca_certificate, state.server_certificate, state.server_key, both, client)

    def context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts the proxies."""
        return ssl.create_default_context(cafile=str(self.ca))

    def environment(self) -> dict[str, str]:
        """Return the variables of a client that offers what is to be measured and nothing else."""
        return {**os.environ, "OPENSSL_CONF": str(self.client)}


def check_tls(url: str, tls: Tls) -> None:
    """See what a proxy agrees on with a client that offers what wrk does.

    Raises:
        TlsError: if it is not what all others do, or if its certificate is not the one.
    """
    command = ["openssl", "s_client", "-brief", "-connect", url.removeprefix("https://")]
    command += ["-CAfile", str(tls.ca), "-verify_ip", "127.0.0.1", "-verify_return_error"]
    done = subprocess.run(  # noqa: S603 (words of our own)
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        env=tls.environment(),
        check=False,
    )
    found = dict(_LINE.findall(done.stderr + done.stdout))
    wanted = {"Protocol version": PROTOCOL, "Ciphersuite": SUITE, "Server Temp Key": GROUP}
    if done.returncode != 0 or found != wanted:
        said = ", ".join(found.values()) or (done.stderr or done.stdout).strip()
        raise TlsError(f"TLS is not {PROTOCOL}, {SUITE}, {GROUP} but: {said}")
