"""What the runner tells the simulated clients.

It stands apart because importing locust patches the whole process.
"""

import json
import os
from dataclasses import asdict, dataclass
from typing import Final, Self

VARIABLE: Final = "BARTIZAN_LOAD"


@dataclass(frozen=True, slots=True)
class Target:
    """What the runner tells the simulated clients, through one environment variable.

    Attributes:
        port: of the gateway's https listener, on 127.0.0.1.
        ca: the file of the authority that signed its certificate.
        token: may read and write.
        reader_token: may only read.
        client_id: of a client that may ask for tokens.
        client_secret: its secret.
    """

    port: int
    ca: str
    token: str
    reader_token: str
    client_id: str
    client_secret: str

    def as_environment(self) -> dict[str, str]:
        """Return the environment variable that carries this."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> Self:
        """Read what the runner has put there."""
        return cls(**json.loads(os.environ[VARIABLE]))
