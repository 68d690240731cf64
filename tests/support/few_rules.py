"""A policy's `rules` for gateways that need some rules, and not the Core Rule Set: they compile at once."""

from pathlib import Path
from typing import Any, Final

from tests.support.rule_tree import write_tree

REFUSE: Final = 30001
NOTE: Final = 30002
_OWN: Final = f"""\
SecRule ARGS:few "@streq refuse" "id:{REFUSE},phase:2,deny,msg:'refused',severity:'CRITICAL',tag:'few'"
SecRule ARGS:few "@streq note" "id:{NOTE},phase:2,pass,msg:'noted',severity:'NOTICE'"
"""


def few_rules(folder: Path, **rules: Any) -> dict[str, Any]:
    """Write rules that look at the argument `few`, and return what a policy says to use them.

    Args:
        folder: where to; it need not be there.
        rules: further keys.
    """
    write_tree(folder, {"rules/REQUEST-998-FEW.conf": _OWN})
    return {"source": str(folder), **rules}
