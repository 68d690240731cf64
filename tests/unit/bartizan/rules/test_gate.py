"""How each rule is woken."""

from pathlib import Path

import pytest

from bartizan.rules.gate import Gate, Kind, gates_of
from bartizan.rules.hyperscan import Expression, Scanner
from bartizan.rules.patterns import Taken
from bartizan.rules.reachable import reach
from bartizan.rules.read import read_rules
from bartizan.rules.settings import RuleSettings


def _gates(folder: Path, text: str) -> dict[int, Gate]:
    path = folder / "own.conf"
    path.write_text(text, encoding="utf-8")
    reached = reach(read_rules([path]), RuleSettings())
    rules = list(reached.rules)
    return {rule.id: gate for rule, gate in zip(rules, gates_of(rules, reached.tx), strict=True)}


def _gate(folder: Path, text: str) -> Gate:
    (gate,) = _gates(folder, text).values()
    return gate


@pytest.mark.parametrize(
    ("targets", "kinds"),
    [
        ("ARGS", ["ARGS"]),
        ("ARGS_GET|ARGS_POST", ["ARGS"]),
        ("ARGS_GET_NAMES", ["ARGS_NAMES"]),
        ("ARGS:Foo|REQUEST_COOKIES:/^a/", ["ARGS:foo", "REQUEST_COOKIES"]),
        ("REQUEST_HEADERS|!REQUEST_HEADERS:Cookie", ["REQUEST_HEADERS"]),
        ("ARGS_NAMES:x|REQUEST_URI", ["ARGS_NAMES", "REQUEST_URI"]),
    ],
)
def test_the_kinds_of_values_that_are_asked(targets: str, kinds: list[str], tmp_path: Path) -> None:
    gate = _gate(tmp_path, f'SecRule {targets} "@rx <script" "id:1,phase:2,deny"')
    assert (gate.kind, gate.link) == ("values", 0)
    (probe,) = gate.probes
    assert [f"{kind.collection}:{kind.selector}".rstrip(":") for kind in probe.kinds] == kinds
    assert probe.patterns is not None
    assert probe.patterns.taken is Taken.WHOLE


@pytest.mark.parametrize(
    "operator", ["@detectSQLi", "!@rx ^a", "@ipMatch 10.0.0.0/8", "@within a b", "@gt 5", "!@streq a"]
)
def test_what_no_pattern_stands_for_is_asked_itself(operator: str, tmp_path: Path) -> None:
    (probe,) = _gate(tmp_path, f'SecRule ARGS "{operator}" "id:1,phase:2,deny"').probes
    assert probe.patterns is None
    assert not probe.present


@pytest.mark.parametrize(
    ("target", "operator", "kind"),
    [
        ("&REQUEST_HEADERS:Range", "@gt 0", "present"),
        ("&REQUEST_HEADERS:Range", "!@eq 0", "present"),
        ("&REQUEST_HEADERS:Range", "@ge 1", "present"),
        ("&REQUEST_HEADERS:Range", "@eq 0", "request"),
        ("&REQUEST_HEADERS:Range", "@gt 1", "request"),
        ("&ARGS", "@gt 0", "request"),
        ("REQUEST_HEADERS:Range", "@unconditionalMatch", "present"),
        ("REQUEST_HEADERS:Range", "@rx .", "present"),
        ("UNIQUE_ID", "@rx ^a", "request"),
        ("ARGS|TIME_HOUR", "@rx ^1", "request"),
    ],
)
def test_counts_and_what_differs_in_each_request(
    target: str, operator: str, kind: str, tmp_path: Path
) -> None:
    gate = _gate(tmp_path, f'SecRule {target} "{operator}" "id:1,phase:1,deny"')
    assert gate.kind == ("values" if kind == "present" else kind)
    assert all(probe.present for probe in gate.probes)


def test_a_question_with_a_macro_is_none_about_the_value_alone(tmp_path: Path) -> None:
    gate = _gate(tmp_path, 'SecRule ARGS "@streq %{REQUEST_HEADERS.Host}" "id:1,phase:2,deny"')
    assert gate == Gate("request", stirs=False)


@pytest.mark.parametrize(
    ("chain", "link"),
    [
        (['REQUEST_METHOD "!@rx ^OPTIONS$"', 'ARGS "@rx <script"'], 1),
        (['ARGS "@rx <script"', 'REQUEST_METHOD "!@rx ^OPTIONS$"'], 0),
        (['TX:paranoia_level "@ge 1"', 'ARGS "@rx ."', 'ARGS_NAMES "@rx <script"'], 2),
        (['ARGS "@rx ."', 'MATCHED_VAR "@rx x"'], 0),
        (['REQUEST_HEADERS:Content-Length "!@rx ^0$"', '&REQUEST_HEADERS:Transfer-Encoding "!@eq 0"'], 1),
    ],
)
def test_the_link_that_says_yes_the_least_often(chain: list[str], link: int, tmp_path: Path) -> None:
    text = "\n".join(
        f'SecRule {each} "{begin}{end}"'
        for each, begin, end in zip(
            chain,
            ["id:1,phase:2,deny,", *[""] * len(chain)],
            [*["chain"] * (len(chain) - 1), "t:none"],
            strict=False,
        )
    )
    gate = _gate(tmp_path, text)
    assert (gate.kind, gate.link) == ("values", link)


@pytest.mark.parametrize("effect", ["setvar:tx.read=1", "ctl:ruleRemoveById=3"])
def test_no_link_behind_an_effect_decides(effect: str, tmp_path: Path) -> None:
    gates = _gates(
        tmp_path,
        f"""
        SecRule REQUEST_METHOD "!@rx ^OPTIONS$" "id:1,phase:1,deny,chain,{effect}"
            SecRule ARGS "@rx <script"
        SecRule REQUEST_METHOD "!@rx ^OPTIONS$" "id:2,phase:1,deny,chain,setvar:tx.own=1"
            SecRule ARGS "@rx <script"
        SecRule TX:read "@eq 1" "id:3,phase:1,deny"
        """,
    )
    assert gates[1].link == 0
    assert gates[2].link == 1


def test_multi_match_asks_after_each_step(tmp_path: Path) -> None:
    gate = _gate(tmp_path, 'SecRule ARGS "@rx a<b" "id:1,phase:2,deny,multiMatch,t:urlDecodeUni,t:lowercase"')
    assert [probe.chain for probe in gate.probes] == [(), ("urlDecodeUni",), ("urlDecodeUni", "lowercase")]


SCORES = """
SecAction "id:1,phase:1,pass,nolog,setvar:tx.score=0,setvar:tx.score_pl1=0"
SecRule ARGS "@rx <script" "id:2,phase:1,pass,setvar:tx.score_pl1=+5"
SecAction "id:7,phase:1,pass,nolog,setvar:tx.score=+%{tx.score_pl1}"
SecAction "id:3,phase:2,pass,nolog,setvar:tx.score=0"
SecAction "id:4,phase:2,pass,nolog,setvar:tx.score=+%{tx.score_pl1}"
SecRule TX:score "@ge 5" "id:5,phase:2,deny"
SecRule MATCHED_VARS "@rx a" "id:6,phase:2,deny"
"""


def test_what_looks_at_scores_sleeps_until_a_rule_matches(tmp_path: Path) -> None:
    gates = _gates(tmp_path, SCORES)
    assert {number: gate.kind for number, gate in gates.items()} == {
        2: "values", 7: "state", 3: "state", 4: "state", 5: "state", 6: "state",
    }  # fmt: skip


def test_what_is_seen_while_nothing_matches_is_evaluated_always(tmp_path: Path) -> None:
    gates = _gates(
        tmp_path, SCORES.replace("tx.score=0,setvar:tx.score_pl1=0", "tx.score=0,setvar:tx.score_pl1=5")
    )
    assert gates[4].kind == gates[5].kind == "always"


def test_what_a_half_matched_chain_may_set_wakes_nobody_so_its_reader_never_sleeps(tmp_path: Path) -> None:
    gates = _gates(
        tmp_path,
        """
        SecRule ARGS "@rx <script" "id:1,phase:2,deny,chain,setvar:tx.seen=1"
            SecRule REQUEST_METHOD "@streq POST"
        SecRule TX:seen "@eq 1" "id:2,phase:2,deny"
        """,
    )
    assert (gates[1].kind, gates[2].kind) == ("values", "always")


def test_only_what_others_look_at_wakes_them(tmp_path: Path) -> None:
    gates = _gates(
        tmp_path,
        """
        SecRule ARGS "@rx <script" "id:1,phase:2,pass,setvar:tx.seen=1"
        SecRule ARGS "@rx <style" "id:2,phase:2,pass,setvar:tx.other=1"
        SecRule ARGS "@rx <body" "id:3,phase:2,pass,nolog,ctl:ruleRemoveById=1"
        SecRule TX:seen "@eq 1" "id:4,phase:2,deny"
        """,
    )
    assert [gates[number].stirs for number in (1, 2, 3)] == [True, False, False]
    assert [gates[number].prepares for number in (1, 2, 3)] == [False, False, True]


CAPTURED = """\
SecRule {target} "@rx {pattern}" \\
    "id:1,phase:1,deny,capture,t:lowercase,setvar:'tx.found_%{{tx.{n}}}=/%{{tx.{n}}}/',chain"
    SecRule TX:/^found_/ "@within /expect/ /proxy/" "t:lowercase"
"""


@pytest.mark.parametrize(
    ("target", "pattern", "group", "hit", "missed"),
    [
        ("REQUEST_HEADERS_NAMES", "^.*$", 0, [b"expect", b"PROXY"], [b"accept", b"xexpect", b"proxyx", b""]),
        (
            "REQUEST_BASENAME",
            r"\.([a-z]+)$",
            1,
            [b"a.proxy", b".expect"],
            [b"proxy", b"a.html", b"a.proxy.x"],
        ),
    ],
)
def test_a_captured_word_that_must_be_on_a_list(
    target: str, pattern: str, group: int, hit: list[bytes], missed: list[bytes], tmp_path: Path
) -> None:
    gate = _gate(tmp_path, CAPTURED.format(target=target, pattern=pattern, n=group))
    (probe,) = gate.probes
    assert probe.patterns is not None
    assert probe.patterns.taken is Taken.CONDITION
    scanner = Scanner([Expression(1, *each) for each in probe.patterns.expressions])
    assert all(scanner.numbers(value) for value in hit)
    assert not any(scanner.numbers(value) for value in missed)
    scanner.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/expect/ /proxy/", "%{REQUEST_HEADERS.x}"),
        ("@within", "!@within"),
        ('t:lowercase"\n', 't:urlDecode"\n'),
        ("capture,", ""),
        ("TX:/^found_/", "TX:/found_/|ARGS"),
    ],
)
def test_what_is_not_sure_of_a_captured_word_is_not_taken(old: str, new: str, tmp_path: Path) -> None:
    text = CAPTURED.format(target="REQUEST_HEADERS_NAMES", pattern="^.*$", n=0)
    assert old in text
    gate = _gate(tmp_path, text.replace(old, new))
    assert not any(probe.patterns and probe.patterns.taken is Taken.CONDITION for probe in gate.probes)


def test_a_word_that_another_rule_may_set_is_not_taken(tmp_path: Path) -> None:
    text = CAPTURED.format(target="REQUEST_HEADERS_NAMES", pattern="^.*$", n=0)
    text += 'SecRule ARGS "@rx a" "id:2,phase:1,pass,setvar:\'tx.found_x=/%{MATCHED_VAR}/\'"\n'
    gate = _gates(tmp_path, text)[1]
    assert not any(probe.patterns and probe.patterns.taken is Taken.CONDITION for probe in gate.probes)


def test_kinds_share_databases_by_family() -> None:
    assert Kind("REQUEST_COOKIES").family == Kind("ARGS", "x").family == "arguments"
    assert Kind("REQUEST_HEADERS", "host").family == "headers"
    assert Kind("REQUEST_URI").family == Kind("QUERY_STRING").family == "request"
    assert Kind("REQUEST_FILENAME").family == "path"
