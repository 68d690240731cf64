"""A policy's part for gateways that need some rules, and not the Core Rule Set: they compile at once."""

from typing import Any, Final

# Beside the policy, as `files` of a Gateway.
FILES: Final = {
    "few.conf": (
        'SecRule ARGS:few "@streq refuse" "id:30001,phase:2,deny,msg:\'refused\'"\n'
        'SecRule ARGS:few "@streq note" "id:30002,phase:2,pass,msg:\'noted\'"\n'
    )
}
RULES: Final[dict[str, Any]] = {"source": "./"}
