"""Which rules are left under a policy's settings, and what is settled before any request."""

from pathlib import Path

import pytest

from bartizan.rules.model import Rule
from bartizan.rules.reachable import Reachable, Why, reach
from bartizan.rules.read import read_rules
from bartizan.rules.settings import Exclusion, RuleSettings


def _reach(folder: Path, text: str, settings: RuleSettings | None = None) -> Reachable:
    path = folder / "own.conf"
    path.write_text(text, encoding="utf-8")
    return reach(read_rules([path]), settings or RuleSettings())


def _left(reached: Reachable) -> list[int]:
    return [rule.id for rule in reached.rules]


def _why(reached: Reachable) -> dict[int, Why]:
    return {dropped.rule.id: dropped.why for dropped in reached.dropped}


def _only(reached: Reachable) -> Rule:
    (rule,) = reached.rules
    return rule


PARANOIA = """\
SecRule TX:DETECTION_PARANOIA_LEVEL "@lt 1" "id:11,phase:1,pass,nolog,skipAfter:END"
SecRule ARGS "@rx one" "id:1,phase:1,deny"
SecRule TX:DETECTION_PARANOIA_LEVEL "@lt 2" "id:12,phase:1,pass,nolog,skipAfter:END"
SecRule ARGS "@rx two" "id:2,phase:1,deny"
SecRule TX:DETECTION_PARANOIA_LEVEL "@lt 3" "id:13,phase:1,pass,nolog,skipAfter:END"
SecRule ARGS "@rx three" "id:3,phase:1,deny"
SecMarker "END"
SecRule ARGS "@rx rest" "id:4,phase:1,deny"
"""


@pytest.mark.parametrize(("paranoia", "left"), [(1, [1, 4]), (2, [1, 2, 4]), (3, [1, 2, 3, 4])])
def test_what_stands_behind_a_higher_paranoia_level_is_not_reached(
    paranoia: int, left: list[int], tmp_path: Path
) -> None:
    assert _left(_reach(tmp_path, PARANOIA, RuleSettings(paranoia))) == left


def test_each_rule_that_is_left_out_has_its_reason(tmp_path: Path) -> None:
    assert _why(_reach(tmp_path, PARANOIA, RuleSettings(1))) == {
        11: Why.NEVER, 12: Why.SETTLED, 2: Why.UNREACHABLE, 13: Why.UNREACHABLE, 3: Why.UNREACHABLE,
    }  # fmt: skip


def test_every_rule_is_either_left_or_listed(tmp_path: Path) -> None:
    reached = _reach(tmp_path, PARANOIA, RuleSettings(2))
    assert sorted(_left(reached) + list(_why(reached))) == [1, 2, 3, 4, 11, 12, 13]


def test_defaults_are_settled_and_put_into_texts(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecRule &TX:methods "@eq 0" "id:1,phase:1,pass,nolog,setvar:'tx.methods=GET POST'"
        SecRule REQUEST_METHOD "!@within %{tx.methods}" "id:2,phase:1,deny,msg:'not one of %{tx.METHODS}'"
        """,
    )
    rule = _only(reached)
    assert reached.tx["methods"] == "GET POST"
    assert rule.links[0].operator is not None
    assert rule.links[0].operator.argument == ("GET POST",)
    assert rule.links[0].msg == ("not one of GET POST",)


def test_a_default_is_not_taken_where_the_variable_is_set(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecAction "id:1,phase:1,pass,nolog,setvar:tx.limit=7"
        SecRule &TX:limit "@eq 0" "id:2,phase:1,pass,nolog,setvar:tx.limit=5"
        SecRule ARGS "@gt %{tx.limit}" "id:3,phase:1,deny,t:length"
        """,
    )
    assert reached.tx["limit"] == "7"
    assert _why(reached) == {1: Why.SETTLED, 2: Why.NEVER}


def test_the_policy_decides_over_what_setup_says(tmp_path: Path) -> None:
    text = 'SecAction "id:1,phase:1,pass,nolog,setvar:tx.detection_paranoia_level=4"\n' + PARANOIA
    reached = _reach(tmp_path, text.replace("id:1,phase:1,deny", "id:5,phase:1,deny"), RuleSettings(1))
    assert _left(reached) == [5, 4]
    assert reached.tx["detection_paranoia_level"] == "1"


def test_a_variable_that_a_request_may_set_is_no_constant_from_there_on(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecAction "id:1,phase:1,pass,nolog,setvar:tx.level=1"
        SecRule TX:level "@eq 2" "id:2,phase:1,deny"
        SecRule REQUEST_URI "@beginsWith /admin" "id:3,phase:1,pass,nolog,setvar:tx.level=2"
        SecRule TX:level "@eq 2" "id:4,phase:1,deny"
        SecRule TX:level "@eq 2" "id:5,phase:2,deny"
        """,
    )
    assert _left(reached) == [3, 4, 5]


def test_a_variable_with_a_name_of_the_request_is_unknown(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecRule ARGS_NAMES "@rx ." "id:1,phase:1,pass,nolog,setvar:'tx.count_%{MATCHED_VAR_NAME}=+1'"
        SecRule TX:count_x "@eq 1" "id:2,phase:1,deny"
        SecRule TX:other_x "@eq 1" "id:3,phase:1,deny"
        """,
    )
    assert _left(reached) == [1, 2]


def test_a_skip_in_doubt_makes_doubtful_what_it_may_skip(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecRule REQUEST_URI "@beginsWith /old" "id:1,phase:1,pass,nolog,skipAfter:END"
        SecAction "id:2,phase:1,pass,nolog,setvar:tx.new=1"
        SecMarker "END"
        SecRule TX:new "@eq 1" "id:3,phase:1,deny"
        """,
    )
    assert _left(reached) == [1, 2, 3]
    assert reached.phases[0].markers == {"END": 2}
    assert "new" not in reached.tx


def test_what_is_read_before_it_is_set_is_set_when_the_rule_runs(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecRule ARGS "@rx %{tx.word}" "id:1,phase:1,pass,nolog,setvar:'tx.seen=%{tx.word}',setvar:tx.word=x"
        SecRule TX:seen "@rx y" "id:2,phase:1,deny"
        SecAction "id:3,phase:1,pass,nolog,setvar:tx.word=z"
        SecRule TX:word "@streq z" "id:4,phase:1,deny"
        """,
    )
    assert _left(reached) == [1, 2, 3, 4]


def test_what_certainly_refuses_stays(tmp_path: Path) -> None:
    reached = _reach(tmp_path, 'SecRule &TX:absent "@eq 0" "id:1,phase:1,deny,msg:\'no setup\'"')
    assert _left(reached) == [1]


def test_a_rule_that_may_be_removed_by_its_id_is_not_settled(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecRule REQUEST_URI "@beginsWith /x" "id:1,phase:1,pass,nolog,ctl:ruleRemoveById=2-3"
        SecAction "id:3,phase:1,pass,nolog,setvar:tx.mode=1"
        SecAction "id:4,phase:1,pass,nolog,setvar:tx.other=1"
        SecRule TX:mode|TX:other "@eq 1" "id:5,phase:1,deny"
        """,
    )
    assert _left(reached) == [1, 3, 5]


def test_a_link_that_never_holds_takes_the_chain_out(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecRule ARGS "@rx a" "id:1,phase:2,deny,chain"
            SecRule TX:paranoia_level "@ge 3"
        SecRule ARGS "@rx a" "id:2,phase:2,deny,chain,setvar:tx.half=1"
            SecRule TX:paranoia_level "@ge 3"
        SecRule TX:half "@eq 1" "id:3,phase:2,deny"
        """,
    )
    assert _left(reached) == [2, 3]


def test_what_only_sets_what_nothing_reads_goes(tmp_path: Path) -> None:
    reached = _reach(
        tmp_path,
        """
        SecRule REQUEST_HEADERS:User-Agent "@rx ." "id:1,phase:1,pass,nolog,setvar:'tx.hash=%{MATCHED_VAR}'"
        SecAction "id:2,phase:1,pass,nolog,setvar:'tx.key=%{tx.hash}'"
        SecRule ARGS "@rx a" "id:3,phase:1,pass,nolog,setvar:tx.anomaly_score=+5"
        """,
    )
    assert _left(reached) == [3]
    assert _why(reached) == {1: Why.IDLE, 2: Why.IDLE}


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ('SecRule RESPONSE_BODY "@rx a" "id:1,phase:4,deny"', []),
        ('SecRule XML:/* "@rx a" "id:1,phase:2,deny"', []),
        ('SecRule FILES|ARGS "@rx a" "id:1,phase:2,deny"', ["ARGS"]),
        ('SecRule ARGS|XML:/*|!ARGS:x "@rx a" "id:1,phase:2,deny"', ["ARGS", "ARGS"]),
    ],
)
def test_what_is_not_collected_yet_is_told(rule: str, left: list[str], tmp_path: Path) -> None:
    reached = _reach(tmp_path, rule)
    assert [variable.name for each in reached.rules for variable in each.links[0].variables] == left
    if not left:
        assert _why(reached) == {1: Why.LATER}
        assert reached.dropped[0].reason


ATTACKS = """\
SecRule ARGS|REQUEST_COOKIES "@rx a" "id:1,phase:2,deny,tag:'attack-sqli'"
SecRule ARGS|REQUEST_HEADERS "@rx b" "id:2,phase:2,deny,tag:'attack-xss'"
"""


@pytest.mark.parametrize(
    ("exclusion", "left"),
    [
        (Exclusion(rule=1), [2]),
        (Exclusion(tag="attack-xss"), [1]),
        (Exclusion(rule=1, tag="attack-xss"), [1, 2]),
        (Exclusion(rule=1, parameter="args:q"), [1, 2]),
    ],
)
def test_the_policy_excludes_rules(exclusion: Exclusion, left: list[int], tmp_path: Path) -> None:
    reached = _reach(tmp_path, ATTACKS, RuleSettings(exclusions=(exclusion,)))
    assert _left(reached) == left
    assert all(why is Why.EXCLUDED for why in _why(reached).values())


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("args:q", {1: [("ARGS", "q")], 2: [("ARGS", "q")]}),
        ("cookie:sid", {1: [("REQUEST_COOKIES", "sid")], 2: []}),
        ("header:referer", {1: [], 2: [("REQUEST_HEADERS", "referer")]}),
    ],
)
def test_the_policy_excludes_one_parameter(
    parameter: str, expected: dict[int, list[tuple[str, str]]], tmp_path: Path
) -> None:
    both = tuple(Exclusion(tag=tag, parameter=parameter) for tag in ("attack-sqli", "attack-xss"))
    reached = _reach(tmp_path, ATTACKS, RuleSettings(exclusions=both))
    assert {
        rule.id: [(each.name, each.selector) for each in rule.links[0].variables if each.excluded]
        for rule in reached.rules
    } == expected
