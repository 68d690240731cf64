"""What rules mean in bartizan.waf and in libmodsecurity: the same rules over the same requests.

Where the manual leaves it open, libmodsecurity 3.0.9 decides. Left out is what is done otherwise on purpose:
what one rule leaves in MATCHED_* and TX:0 to TX:9 is not there for the next one, since only rules that may
match are evaluated; and ruleRemoveTarget of a whole collection means its named members, too.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.libmodsecurity import Rules, intervention, lib
from tests.support.rule_plan import RuleEngine, get, read_plan

# Every match that says something adds to this.
TRACE: Final = "setvar:'tx.trace=%{tx.trace}<RULE %{MATCHED_VAR_NAME}:%{MATCHED_VAR}>'"
END: Final = (
    """SecRule REQUEST_METHOD "@unconditionalMatch" "id:9999,phase:2,nolog,redirect:'%{tx.trace}'"\n"""
)

RULES: Final = r"""
SecRule ARGS "@rx a" "id:1,phase:2,pass,nolog,TRACE"
SecRule ARGS|!ARGS:a "!@rx b" "id:2,phase:2,pass,nolog,TRACE"
SecRule ARGS_NAMES|ARGS:/b/ "@rx ." "id:3,phase:2,pass,nolog,TRACE"
SecRule ARGS "@rx (a)(b|)" "id:4,phase:2,pass,nolog,capture,chain,\
setvar:'tx.trace=%{tx.trace}<4 %{TX.1}.%{TX.2}>'"
  SecRule TX:1 "@streq a" "TRACE"
SecRule ARGS "@rx a" "id:5,phase:2,pass,nolog,chain,TRACE"
  SecRule MATCHED_VARS "@rx b" "chain,TRACE"
    SecRule MATCHED_VARS "@rx ." "TRACE"
SecRule ARGS "@rx b" "id:6,phase:2,pass,nolog,chain"
  SecRule MATCHED_VARS_NAMES "@rx ARGS:b" "TRACE"
SecRule ARGS:c "@rx b" "id:7,phase:2,pass,nolog,chain"
  SecRule MATCHED_VAR "@rx a" "TRACE"
SecRule ARGS "@rx ab" "id:8,phase:2,pass,nolog,multiMatch,t:lowercase,t:urlDecode,t:removeWhitespace,TRACE"
SecRule ARGS "@rx ab" "id:9,phase:2,pass,nolog,t:lowercase,t:urlDecode,t:removeWhitespace,TRACE"
SecRule &ARGS "@gt 2" "id:10,phase:2,pass,nolog,TRACE"
SecRule &ARGS:a|&ARGS:zz "@ge 0" "id:11,phase:2,pass,nolog,TRACE"
SecRule ARGS_NAMES "@rx ." "id:12,phase:2,pass,nolog,setvar:'tx.count_%{MATCHED_VAR}=+1'"
SecRule TX:/^count_/ "@gt 1" "id:13,phase:2,pass,nolog,TRACE"
SecRule ARGS:a "@streq ab" "id:14,phase:2,pass,nolog,ctl:ruleRemoveTargetById=15;ARGS:b,ctl:ruleRemoveById=16"
SecRule ARGS "@rx ." "id:15,phase:2,pass,nolog,TRACE"
SecRule ARGS "@rx ." "id:16,phase:2,pass,nolog,TRACE"
SecRule ARGS:b "@streq b" "id:17,phase:2,pass,nolog,chain,ctl:ruleRemoveTargetByTag=sqli;ARGS:a"
  SecRule ARGS:a "@rx ." "ctl:ruleRemoveById=19"
SecRule ARGS "@rx ." "id:18,phase:2,pass,nolog,tag:sqli,TRACE"
SecRule ARGS "@rx ." "id:19,phase:2,pass,nolog,TRACE"
SecRule ARGS "@streq ba" "id:20,phase:2,pass,nolog,skipAfter:END_20"
SecRule ARGS "@rx ." "id:21,phase:2,pass,nolog,TRACE"
SecMarker END_20
SecRule ARGS "@rx a" "id:22,phase:2,pass,nolog,setvar:tx.n=+3,setvar:tx.m=-1,chain"
  SecRule ARGS "@rx b" "setvar:tx.n=-1,setvar:'tx.m=+%{tx.n}',setvar:!tx.o"
SecRule TX:n|TX:m "!@eq 0" "id:23,phase:2,pass,nolog,TRACE"
SecRule ARGS:a "@streq %{ARGS.c}" "id:24,phase:2,pass,nolog,TRACE"
SecRule ARGS "@within aabb %{ARGS.c}" "id:25,phase:2,pass,nolog,TRACE"
SecRule ARGS "@pm ab bb" "id:26,phase:2,pass,nolog,capture,setvar:'tx.trace=%{tx.trace}<26 %{TX.0}>'"
"""


def with_trace(text: str) -> str:
    """Put the trace into each rule that has one, with the line's number in it.

    A rule that does not match stands before each: then libmodsecurity, too, begins without MATCHED_*.
    """
    lines = []
    for number, line in enumerate(text.splitlines()):
        if line.startswith("SecRule"):
            lines.append(f'SecRule REQUEST_METHOD "@noMatch" "id:{5000 + number},phase:2,pass,nolog"')
        lines.append(line.replace("TRACE", TRACE.replace("RULE", str(number))))
    return "\n".join(lines)


def items(trace: str) -> list[str]:
    """Give what was traced, in an order of its own: libmodsecurity has members of collections in none."""
    return sorted(trace[1:-1].split("><"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> RuleEngine:
    path: Path = tmp_path_factory.mktemp("rules") / "rules.conf"
    path.write_text(with_trace(RULES))
    return RuleEngine(read_plan(path), gateless=True)


@pytest.fixture(scope="module")
def library() -> Rules:
    return Rules(with_trace(RULES) + "\n" + END)


def ask_library(rules: Rules, target: str) -> str:
    with rules.transaction() as transaction:
        lib().msc_process_uri(transaction, target.encode(), b"GET", b"1.1")
        lib().msc_process_request_headers(transaction)
        lib().msc_process_request_body(transaction)
        wanted = intervention(transaction)
        return "" if wanted is None or wanted.url is None else ctypes.string_at(wanted.url).decode()


VALUES: Final = st.text(alphabet="abAB %2", max_size=4)


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from(["a", "b", "bb"]), VALUES), max_size=4), once=VALUES)
def test_the_same_matches_in_the_same_way(
    engine: RuleEngine, library: Rules, pairs: list[tuple[str, str]], once: str
) -> None:
    target = "/?" + "&".join(f"{name}={quote(value)}" for name, value in [*pairs, ("c", once)])
    ours = engine.last(get(target)).tx.get("trace", "")
    assert items(ours) == items(ask_library(library, target))
