"""lua/bartizan/waf/gate.lua and kinds.lua: rules are found by values, and no rule that matches is missed."""

from __future__ import annotations

from itertools import count
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.rules.hyperscan import ALLOWEMPTY, DOTALL, MULTILINE, SINGLEMATCH, Expression, compile_database
from tests.support.rule_plan import Request, RuleEngine, form, get, link, make_plan, operator, rule

Json = dict[str, Any]
FLAGS: Final = DOTALL | MULTILINE | SINGLEMATCH | ALLOWEMPTY


def values(number: int, *links: Json, **more: Any) -> Json:
    return rule(number, *links, gate="values", **more)


def covering(target: Json, collection: str) -> bool:
    """Say whether a target looks at a kind's collection: that of ARGS has those of GET and POST, too."""
    name = target["name"].replace("ARGS_GET", "ARGS").replace("ARGS_POST", "ARGS")
    return not target["excluded"] and name == collection


def gated(rules: list[Json], *, direct: bool = False) -> RuleEngine:
    """Make an engine with a gate of its own, of the first links of rules; one database for each kind.

    Args:
        rules: of the kind `values`, with @rx or others; what is no @rx, or is negated, is asked directly.
        direct: whether all are.
    """
    chains: list[list[str]] = []
    patterns: list[Json] = []
    kinds: list[Json] = []
    files: dict[str, bytes] = {}
    number = count(1)
    wanted = {
        (each["name"].replace("ARGS_GET", "ARGS").replace("ARGS_POST", "ARGS"), selector)
        for item in rules
        for each in item["links"][0]["targets"]
        if not each["excluded"]
        for selector in {None, None if each["regex"] or not each["selector"] else each["selector"].lower()}
    }
    for collection, selector in sorted(wanted, key=str):
        kind: Json = {
            "collection": collection,
            "selector": selector,
            "database": None,
            "chains": [],
            "direct": [],
        }
        expressions = []
        for index, item in enumerate(rules):
            first = item["links"][0]
            if not any(
                covering(each, collection)
                and (each["selector"] is None or each["regex"] or each["selector"].lower() == selector)
                for each in first["targets"]
            ):
                continue
            if first["transformations"] not in chains:
                chains.append(first["transformations"])
            chain = chains.index(first["transformations"])
            if chain not in kind["chains"]:
                kind["chains"].append(chain)
            asked = first["operator"]
            if direct or asked["name"] != "rx" or asked["negated"]:
                kind["direct"].append({"rule": index, "chain": chain, "link": 0})
            else:
                patterns.append({"rule": index, "chain": chain})
                expressions.append(Expression(next(number), asked["argument"][0].encode("latin-1"), FLAGS))
        if expressions:
            kind["database"] = len(files)
            files[f"{len(files)}.hs"] = compile_database(expressions)
        kinds.append(kind)
    gate = {
        "databases": [{"file": name} for name in files],
        "chains": chains,
        "patterns": patterns,
        "kinds": kinds,
    }
    return RuleEngine(make_plan(rules, gate), files.__getitem__)


def ids(engine: RuleEngine, request: Request) -> list[int]:
    return [number for outcome in engine.run(request) for number in outcome.ids]


class TestKinds:
    def test_a_rule_is_evaluated_where_a_value_may_match_it(self) -> None:
        engine = gated([values(1, link("ARGS", "@rx attack")), values(2, link("ARGS_NAMES", "@rx attack"))])
        assert ids(engine, get("/?q=an%20attack")) == [1]
        assert ids(engine, get("/?attack=1")) == [2]
        assert ids(engine, get("/?q=peace")) == []

    def test_named_members(self) -> None:
        engine = gated([
            values(1, link("REQUEST_HEADERS", "@rx a")), values(2, link("REQUEST_HEADERS:X-Only", "@rx a")),
        ])  # fmt: skip
        assert ids(engine, get("/", X_Other="a")) == [1]
        assert ids(engine, get("/", X_Only="a")) == [1, 2]
        assert ids(engine, get("/", x_ONLY="a")) == [1, 2]

    def test_named_members_without_a_generic_rule(self) -> None:
        engine = gated([values(1, link("ARGS:Token", "@rx a"))])
        assert ids(engine, get("/?token=a")) == [1]
        assert ids(engine, get("/?TOKEN=a")) == [1]
        assert ids(engine, get("/?other=a")) == []

    def test_arguments_of_the_query_and_of_the_form(self) -> None:
        engine = gated([
            values(1, link("ARGS_GET", "@rx a")), values(2, link("ARGS_POST", "@rx a")),
            values(3, link("ARGS", "@rx a")), values(4, link("ARGS", "@rx a"), phase=1),
        ])  # fmt: skip
        assert ids(engine, get("/?q=a")) == [4, 1, 3]
        assert ids(engine, form("q=a")) == [2, 3]
        assert ids(engine, form("q=a", "/?q=b")) == [2, 3]

    def test_a_value_of_the_head_counts_in_phase_2(self) -> None:
        engine = gated(
            [values(1, link("REQUEST_URI", "@rx admin")), values(2, link("REQUEST_COOKIES", "@rx x"))]
        )
        assert ids(engine, get("/admin", Cookie="a=x")) == [1, 2]
        assert ids(engine, get("/", Cookie="a=y")) == []

    def test_the_body(self) -> None:
        engine = gated([values(1, link("REQUEST_BODY", "@rx =x$"))])
        assert ids(engine, form("a=x")) == [1]
        assert ids(engine, get("/?a=x")) == []

    def test_what_a_rule_makes_of_the_body_processor(self) -> None:
        changes = values(
            1, link("REQUEST_HEADERS:X-Json", "@rx 1", ctls=["requestBodyProcessor=JSON"]), phase=1, log=False
        )
        asks = values(2, link("REQBODY_PROCESSOR", "@rx ^JSON$"), phase=1)
        assert ids(gated([changes, asks]), get("/", X_Json="1")) == [2]
        assert ids(gated([changes, asks]), get("/")) == []
        assert ids(gated([asks]), get("/", Content_Type="application/json")) == [2]

    def test_phase_2_alone_sees_everything(self) -> None:
        engine = gated([values(1, link("ARGS", "@rx a"))])
        assert engine.phase(engine.begin(get("/?q=a")), 2).ids == [1]


class TestForms:
    def test_a_pattern_counts_where_the_form_is_that_of_its_own_chain(self) -> None:
        rules = [values(1, link("ARGS", "@rx ^abc$", t="lowercase")), values(2, link("ARGS", "@rx ^ABC$"))]
        engine = gated(rules)
        assert ids(engine, get("/?q=ABC")) == [1, 2]
        assert ids(engine, get("/?q=Abc")) == [1]
        # Of the candidates themselves: `abc` is a form, but not the one that rule 2 looks at.
        kind = engine.engine.gate.sources[1].generic
        gate = engine.lua.require("bartizan.waf.gate")
        assert engine.lua.python(gate.candidates(engine.engine.gate, kind, "Abc")) == [1]

    def test_chains_that_begin_alike_share_their_steps(self) -> None:
        rules = [
            values(1, link("ARGS", "@rx a", t="urlDecodeUni")),
            values(2, link("ARGS", "@rx a", t="urlDecodeUni lowercase")),
            values(3, link("ARGS", "@rx a", t="urlDecodeUni lowercase removeNulls")),
        ]
        kind = gated(rules).engine.gate.sources[1].generic
        assert len(kind.forms) == 4

    @pytest.mark.parametrize("text", ["%2541", "a%20B", "\x00a\x00", "A" * 3000, ""])
    def test_deep_chains(self, text: str) -> None:
        names = ["urlDecodeUni", "removeNulls", "lowercase", "compressWhitespace", "removeWhitespace"]
        rules = [
            values(index, link("ARGS", "@rx ^(?:a|a b|)$|a{9}", t=" ".join(names[:index])))
            for index in range(1, 6)
        ]
        plan = make_plan(rules)
        request = get("/?q=" + quote(text))
        assert ids(gated(rules), request) == ids(RuleEngine(plan, gateless=True), request)


class TestDirect:
    @pytest.mark.parametrize(
        ("asks", "hit", "miss"),
        [
            ("!@rx ^[a-z]*$", "A1", "abc"),
            ("@detectSQLi", "1' or '1'='1", "O'Brien"),
            ("@validateByteRange 32-126", "\x01", "abc"),
            ("@gt 10", "11", "9"),
            ("!@within GET POST", "PUT", "GET"),
        ],
    )
    def test_an_operator_that_no_pattern_stands_for_is_asked_itself(
        self, asks: str, hit: str, miss: str
    ) -> None:
        engine = gated([values(1, link("ARGS", asks))])
        assert ids(engine, get("/?q=" + quote(hit))) == [1]
        assert ids(engine, get("/?q=" + quote(miss))) == []

    def test_the_compiler_may_put_another_operator_in_its_place(self) -> None:
        names = link(
            "REQUEST_HEADERS_NAMES",
            "@rx ^.*$",
            capture=True,
            t="lowercase",
            setvars=["tx.h_%{TX.0}=/%{TX.0}/"],
        )
        rules = [values(1, names, link("TX:/^h_/", "@within /proxy/ /if/"))]
        probe = {"rule": 0, "chain": 0, "operator": operator("@pm proxy if")}
        gate = {
            "databases": [], "chains": [["lowercase"]], "patterns": [],
            "kinds": [{
                "collection": "REQUEST_HEADERS_NAMES", "selector": None, "database": None, "chains": [0],
                "direct": [probe],
            }],
        }  # fmt: skip
        engine = RuleEngine(make_plan(rules, gate))
        assert ids(engine, get("/", Proxy="x")) == [1]
        assert ids(engine, get("/", Accept="x")) == []
        assert engine.last(get("/", Accept="x")).tx == {}

    def test_what_depends_on_more_than_the_value_is_always_a_candidate(self) -> None:
        engine = gated([values(1, link("ARGS", "@streq %{REQUEST_HEADERS.X-Key}"))])
        assert ids(engine, get("/?q=1", X_Key="1")) == [1]
        assert ids(engine, get("/?q=1", X_Key="2")) == []
        assert ids(engine, get("/?q=1", X_Key="1")) == [1]

    def test_no_answer_makes_a_candidate(self) -> None:
        rules = [values(1, link("ARGS", "!@rx ^(a+)+$"))]
        engine = gated(rules)
        engine.lua.require("bartizan.waf.pcre2").set_match_limit(1000)
        (outcome,) = [outcome for outcome in engine.run(get("/?q=" + "a" * 40 + "!")) if outcome.matches]
        assert (outcome.error, outcome.matches[0]["error"]) == ("rule 1: match limit reached", True)


class TestSharedDatabases:
    """One database for several kinds, in which a rule looks at X-Only alone; and one for plain values."""

    RULES: Final = (
        values(1, link("REQUEST_HEADERS", "@rx <a>")),
        values(2, link("REQUEST_HEADERS:X-Only", "@rx a")),
        values(3, link("&REQUEST_HEADERS:X-Count", "@gt 0")),
    )
    FILES: Final = {
        "all.hs": compile_database([Expression(1, b"<a>", FLAGS), Expression(2, b"a", FLAGS)]),
        "plain.hs": compile_database([Expression(2, b"a", FLAGS)]),
    }

    def engine(self, **more: Any) -> RuleEngine:
        kind = {"collection": "REQUEST_HEADERS", "database": 0, "chains": [0], "direct": [], "always": []}
        gate = {
            "databases": [{"file": "all.hs"}, {"file": "plain.hs"}],
            "chains": [[]],
            "patterns": [{"rule": 0, "chain": 0}, {"rule": 1, "chain": 0}],
            "kinds": [
                {**kind, "selector": None, "accepts": [1], "plain": None},
                {**kind, "selector": "x-only", "accepts": [1, 2], "plain": 1},
                {**kind, "selector": "x-count", "accepts": [1], "plain": None, "always": [2]},
            ],
            "plain": list(b"abc"),
            **more,
        }
        return RuleEngine(make_plan([*self.RULES], gate), self.FILES.__getitem__)

    def test_a_kind_accepts_rules_that_look_at_it(self) -> None:
        engine = self.engine()
        gate = engine.lua.require("bartizan.waf.gate")
        source = engine.engine.gate.sources[1]
        for kind, text, expected in [
            (source.generic, "<a>", [1]), (source.named["x-only"], "<a>", [1, 2]),
            (source.generic, "a;", False), (source.named["x-only"], "a;", [2]),
        ]:  # fmt: skip
            found = gate.candidates(engine.engine.gate, kind, text)
            assert (sorted(engine.lua.python(found)) if found else found) == expected

    def test_plain_values_are_scanned_for_what_can_match_them(self) -> None:
        engine = self.engine()
        assert ids(engine, get("/", X_Only="a", X_Other="a")) == [2]
        source = engine.engine.gate.sources[1]
        for kind in (source.generic, source.named["x-only"]):
            kind.parts[1]["database"] = engine.lua.table({})
        assert ids(engine, get("/", X_Only="abc", X_Other="abc")) == [2]
        with pytest.raises(Exception, match="any"):
            ids(engine, get("/", X_Only="<a>"))

    def test_chains_with_a_database_of_their_own(self) -> None:
        rules = [values(1, link("ARGS", "@rx ^a")), values(2, link("ARGS", "@rx ^a", t="base64Decode"))]
        kind = {
            "collection": "ARGS", "selector": None, "database": 0, "chains": [0, 1], "direct": [],
            "parts": [{"chains": [1], "database": 1}],
        }  # fmt: skip
        gate = {
            "databases": [{"file": "own.hs"}, {"file": "decoded.hs"}],
            "chains": [[], ["base64Decode"]],
            "patterns": [{"rule": 0, "chain": 0}, {"rule": 1, "chain": 1}],
            "kinds": [kind],
        }
        files = {
            "own.hs": compile_database([Expression(1, b"^a", FLAGS)]),
            "decoded.hs": compile_database([Expression(2, b"^a", FLAGS)]),
        }
        engine = RuleEngine(make_plan(rules, gate), files.__getitem__)
        assert ids(engine, get("/?q=abcd")) == [1]
        assert ids(engine, get("/?q=YWJj")) == [2]
        assert ids(engine, get("/?q=....")) == []
        # Neither database is asked instead of the other.
        broken = engine.lua.table({})
        for part in (engine.engine.gate.sources[1].generic.parts[number] for number in (1, 2)):
            whole, part["database"], part["plain"] = part.database, broken, broken
            with pytest.raises(Exception, match="any"):
                ids(engine, get("/?q=dddd"))
            part["database"] = part["plain"] = whole

    def test_a_rule_may_be_a_candidate_wherever_there_is_a_value(self) -> None:
        assert ids(self.engine(), get("/", X_Count="1")) == [3]
        assert ids(self.engine(), get("/", X_Count="<a>")) == [1, 3]
        assert ids(self.engine(), get("/")) == []

    def test_a_plan_that_takes_other_bytes_for_plain_is_refused(self) -> None:
        with pytest.raises(
            ValueError, match=r"^the plan takes byte 60 for plain, and this engine does not: "
        ):
            self.engine(plain=list(b"a<"))


class TestQuietRules:
    """Rules that say nolog and only remove others, or force the body to be read: CRS has some for speed."""

    RULES: Final = (
        values(
            1,
            link("REQUEST_FILENAME", "@rx ^/quiet", ctls=["ruleRemoveTargetById=3;ARGS:a"]),
            phase=1,
            log=False,
        ),
        rule(2, link("TX:n", "@eq 0"), gate="state"),
        values(3, link("ARGS", "@rx attack")),
    )

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("/quiet", []),
            ("/quiet?a=attack", []),
            ("/quiet?b=attack", [3]),
            ("/loud?a=attack", [3]),
            ("/quiet?a=1", []),
        ],
    )
    def test_they_do_what_they_say_and_wake_nothing(self, target: str, expected: list[int]) -> None:
        engine = gated([*self.RULES])
        assert ids(engine, get(target)) == expected
        # And what they did is not there in the next request.
        assert ids(engine, get("/?a=attack")) == [3]

    def test_a_request_in_which_nothing_else_matches_is_clean(self) -> None:
        engine = gated([*self.RULES])
        transaction = engine.begin(get("/quiet"))
        same = engine.lua.execute(
            "return function(run, engine, t) return run(engine, t, 1) == engine.clean end"
        )
        assert same(engine.lua.require("bartizan.waf.engine").run, engine.engine, transaction)

    def test_that_the_body_is_forced_is_said(self) -> None:
        engine = gated(
            [
                values(
                    1,
                    link("REQUEST_METHOD", "@rx P", ctls=["forceRequestBodyVariable=On"]),
                    phase=1,
                    log=False,
                )
            ]
        )
        assert [outcome.force_body for outcome in engine.run(form("a=1"))] == [True, True]
        assert [outcome.force_body for outcome in engine.run(get("/"))] == [None, None]


class TestWhatIsAsked:
    """A rule that one value has woken is asked of that value, and of no others that the gate knows."""

    def asked(self, rules: list[Json], request: Request) -> list[str]:
        engine = gated(rules)
        engine.run(request)
        record = engine.lua.execute("""return function(op, asked)
            local check = op.check
            op.check = function(op, value, ...)
                asked[#asked + 1] = value
                return check(op, value, ...)
            end
        end""")
        found = engine.lua.table([])
        record(engine.engine.rules[1].links[1].op, found)
        engine.run(request)
        return list(engine.lua.python(found))

    def test_of_many_fields_the_one_that_may_match(self) -> None:
        target = "/?" + "&".join(f"f{number}=harmless" for number in range(50)) + "&q=attack"
        assert self.asked([values(1, link("ARGS", "@rx attack"))], get(target)) == ["attack"]

    def test_the_same_value_in_variables_of_different_kinds(self) -> None:
        rules = [values(1, link("ARGS|ARGS_NAMES", "@rx attack")), values(2, link("ARGS_NAMES", "@rx tack"))]
        assert self.asked(rules, get("/?attack=attack")) == ["attack", "attack"]
        assert ids(gated(rules), get("/?attack=attack")) == [1, 2]

    def test_a_chain_is_asked_of_all_for_the_gate_may_have_looked_at_the_whole_of_it(self) -> None:
        rules = [values(1, link("ARGS", "@rx attack"), link("MATCHED_VARS", "@rx k"))]
        assert self.asked(rules, get("/?a=1&b=2&q=attack")) == ["1", "2", "attack"]


class TestMemory:
    def test_the_second_time_a_value_is_neither_transformed_nor_scanned(self) -> None:
        engine = gated([values(1, link("ARGS", "@rx attack", t="lowercase"))])
        assert ids(engine, get("/?q=Attack")) == [1]
        assert ids(engine, get("/?q=Peace")) == []
        kind = engine.engine.gate.sources[1].generic
        # With the transformation and the database broken, what is known is still known.
        kind.forms[2]["apply"] = None
        assert ids(engine, get("/?q=Attack")) == [1]
        assert ids(engine, get("/?q=Peace")) == []
        with pytest.raises(Exception, match="apply"):
            ids(engine, get("/?q=New"))

    def test_long_values_are_not_remembered(self) -> None:
        engine = gated([values(1, link("ARGS", "@rx attack"))])
        kind = engine.engine.gate.sources[1].generic
        for text, known in (("a" * 1024, False), ("b" * 1025, None)):
            assert ids(engine, get("/?q=" + text)) == []
            assert kind.memo.get(kind.memo, text) is known

    def test_ten_thousand_values_leave_a_bounded_memory(self) -> None:
        engine = gated([values(1, link("ARGS", "@rx attack", t="lowercase urlDecodeUni"))])
        ask = engine.lua.execute("""
            local gate = require("bartizan.waf.gate")
            return function(engine, first, last)
                for i = first, last do
                    gate.candidates(engine.gate, engine.gate.sources[1].generic, "Value %20 " .. i)
                end
            end
        """)
        ask(engine.engine, 1, 5000)
        before = engine.lua.memory()
        ask(engine.engine, 5001, 15000)
        assert engine.lua.memory() < before + 300_000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"database": 3}, "there is no pattern database 3"),
        ({"direct": [{"rule": 9, "chain": 0, "link": 0}]}, "a direct probe names rule 9, which there is not"),
        (
            {"direct": [{"rule": 0, "chain": 1, "link": 0}]},
            "a direct probe of ARGS needs chain 1, which its kind does not list",
        ),
        (
            {"parts": [{"chains": [1], "database": None}]},
            "a part of ARGS has chain 1, which its kind does not list",
        ),
    ],
)
def test_what_is_wrong_with_a_gate_is_said_in_a_sentence(change: Json, sentence: str) -> None:
    kind = {"collection": "ARGS", "selector": None, "database": None, "chains": [0], "direct": [], **change}
    gate = {"databases": [], "chains": [[], ["lowercase"]], "patterns": [], "kinds": [kind]}
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        RuleEngine(make_plan([values(1, link("ARGS", "@rx a"))], gate))


# Rules of many kinds, on few letters, so that random requests match some of them in many ways.
RULES: Final = [
    values(1, link("ARGS", "@rx ab")),
    values(2, link("ARGS|ARGS_NAMES|REQUEST_COOKIES|REQUEST_COOKIES_NAMES", "@rx (?i)b+a", t="urlDecodeUni")),
    values(3, link("ARGS|!ARGS:a", "@rx ^$")),
    values(4, link("ARGS:b|REQUEST_HEADERS:X-A", "@rx a", t="lowercase", setvars=["tx.n=+1"])),
    values(5, link("REQUEST_HEADERS:X-A", "!@rx ^[a-b]*$", t="lowercase")),
    values(6, link("ARGS_NAMES", "@rx ^(.)", capture=True), link("TX:1", "@streq b"), phase=1),
    values(7, link("ARGS", "@rx a$"), link("MATCHED_VARS", "@rx ^b", setvars=["tx.m=+1"])),
    rule(8, link("TX:n", "@ge 2"), gate="state"),
    rule(9, link("&ARGS", "@gt 3"), gate="request", skip_after="NOWHERE"),
    rule(10, link("TX:m", "@ge 1"), gate="state"),
    values(11, link("ARGS_GET", "@rx a\\s+b", t="urlDecodeUni compressWhitespace lowercase")),
    values(
        12, link("REQUEST_BODY|REQUEST_URI", "@rx ba=b"), link("", ctls=["ruleRemoveTargetById=13;ARGS:a"])
    ),
    values(13, link("ARGS", "@pm ba bb", t="removeWhitespace")),
    values(14, link("REQUEST_METHOD", "@streq POST"), link("ARGS_POST", "@gt 0", t="length")),
]
LETTERS: Final = st.text(alphabet="abAB %2+\n\x00\xe9", max_size=6)
NAMES: Final = st.sampled_from(["a", "b", "A", "ba", "ab", ""])
PAIRS: Final = st.lists(st.tuples(NAMES, LETTERS), max_size=5)


def encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={quote(value, safe='+', encoding='latin-1')}" for name, value in pairs)


class TestNothingIsMissed:
    GATED: Final = gated(RULES)
    DIRECT: Final = gated(RULES, direct=True)
    GATELESS: Final = RuleEngine(make_plan(RULES), gateless=True)

    @settings(max_examples=300, deadline=None)
    @given(query=PAIRS, body=PAIRS, header=LETTERS, cookie=NAMES, posts=st.booleans())
    def test_with_the_gate_and_without_it_the_outcome_is_the_same(
        self, query: list[tuple[str, str]], body: list[tuple[str, str]], header: str, cookie: str, posts: bool
    ) -> None:
        fields = [("Host", "a"), ("X-A", header), ("X-B", cookie), ("Cookie", f"{cookie}=ba; b={cookie}")]
        target = "/?" + encoded(query)
        request = Request(target, headers=fields)
        if posts:
            fields.append(("Content-Type", "application/x-www-form-urlencoded"))
            request = Request(target, "POST", fields, encoded(body))
        expected = self.GATELESS.run(request)
        assert self.GATED.run(request) == expected
        assert self.DIRECT.run(request) == expected
