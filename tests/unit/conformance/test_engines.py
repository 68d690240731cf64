"""What is given to the engines, and what is read from their logs."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conformance.engines.engine import setup
from tests.conformance.engines.gateway import policy, read_events
from tests.conformance.judge import Match
from tests.conformance.suites import Suite

OWN = Path("/own.conf")
SUITE = Suite("4.28.0", Path("/crs"), Path("/crs"))


@pytest.mark.parametrize(
    ("crs", "names"),
    [
        ("3.3.4", {"crs_validate_utf8_encoding", "arg_name_length", "arg_length", "paranoia_level"}),
        (
            "4.28.0",
            {
                *("crs_validate_utf8_encoding", "arg_name_length", "arg_length", "total_arg_length"),
                *("max_num_args", "max_file_size", "combined_file_sizes", "blocking_paranoia_level"),
            },
        ),
    ],
)
def test_the_limits_of_a_release(crs: str, names: set[str]) -> None:
    assert set(re.findall(r"setvar:tx\.(\w+)=", setup(crs, paranoia=True))) == names
    assert "paranoia_level" not in setup(crs)


def test_the_policy_looks_at_everything_and_refuses_nothing() -> None:
    written = policy(SUITE, OWN, 1234)
    assert written["rules"]["source"] == "/crs"
    assert written["defaults"]["waf"]["mode"] == "observe"
    assert written["defaults"]["waf"]["paranoia"] == 4
    assert "source" not in policy(Suite("3.3.4", Path("/crs"), None), OWN, 1234)["rules"]
    YAML(typ="safe").load(str(written))


def test_events_are_found_by_address() -> None:
    waf = {
        "matches": [
            {"rule": 942100, "message": "SQL", "data": "a found within REQUEST_HEADERS:user-agent: a"},
            {"rule": 949110, "message": "", "data": ""},
        ]
    }
    common = {"reason": "why", "code": "c", "decision": "noted"}
    found = read_events(
        [
            {"address": "127.1.0.1", "guard": "waf", "waf": waf, **common},
            {"address": "127.1.0.2", "guard": "edge", **common},
            {
                "address": "127.1.0.4",
                "guard": "edge",
                "waf": {"matches": [{"rule": 911100, "message": "", "data": ""}]},
                **common,
            },
            {"address": "127.1.0.3", "guard": "waf", "waf": {"matches": []}, **common, "decision": "failed"},
        ]
    )
    assert found["127.1.0.1"] == (
        [Match(942100, "SQL", "a found within REQUEST_HEADERS:User-Agent: a"), Match(949110)],
        [],
    )
    assert found["127.1.0.2"] == ([], ["edge: c: why"])
    assert found["127.1.0.4"] == ([Match(911100)], ["edge: c: why"])
    assert found["127.1.0.3"] == ([], ["waf: c: why"])
