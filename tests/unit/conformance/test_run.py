"""What becomes of tests and overrides, and which tests of a suite are run."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conformance import overrides, suites
from tests.conformance.judge import Match, Observation
from tests.conformance.overrides import Override, OverridesError
from tests.conformance.report import as_json
from tests.conformance.run import Ran, judge_all
from tests.conformance.schema import Input, Log, Output, Stage, Test
from tests.conformance.sender import Sent
from tests.conformance.suites import Selection, Suite, SuiteError

FAMILIES = range(911, 950)
FILE = """
rule_id: {rule}
meta: {{author: somebody}}
tests:
  - test_id: 1
    stages:
      - input: {{uri: /}}
        output: {{log: {{expect_ids: [{rule}]}}}}
  - test_id: 2
    stages:
      - input: {{method: POST, headers: {{Content-Type: text/xml}}, data: <a/>}}
        output: {{log: {{expect_ids: [{rule}]}}}}
"""


def run_of(*statuses: int, override: Override | None = None, strict: bool = True) -> Ran:
    """One test with a stage for each status that came, each of which expects 200."""
    stage = Stage(input=Input(), output=Output(status=(200,)))
    test = Test(name="942100-1", rule=942100, stages=(stage,) * len(statuses))
    sent = [Sent(test, stage, "127.1.0.1", b"") for _ in statuses]
    ran = Ran("4.28.0", FAMILIES, Selection(tests=[test], held=1))
    known: Mapping[str, Override] = {} if override is None else {"942100-1": override}
    judge_all(ran, sent, [Observation(status=status) for status in statuses], known, strict=strict)
    assert ran.ran == 1
    return ran


def excuse(status: int | None) -> Override:
    output = None if status is None else Output(status=(status,))
    return Override(rule_id=942100, test_ids=(1,), reason="nginx ends it", output=output)


def test_a_test_passes_with_all_its_stages() -> None:
    assert run_of(200, 200).good
    assert [failure.test for failure in run_of(200, 500).failed] == ["942100-1"]


def test_an_override_excuses_what_it_says() -> None:
    ran = run_of(400, override=excuse(400))
    assert ran.good
    assert [failure.why for failure in ran.excused] == ["nginx ends it"]
    assert run_of(500, override=excuse(None)).good


def test_an_override_excuses_nothing_else() -> None:
    ran = run_of(500, override=excuse(400))
    assert not ran.good
    assert "not even as its override says" in ran.failed[0].why


def test_an_override_of_a_test_that_passes_is_an_error() -> None:
    ran = run_of(200, override=excuse(400))
    assert not ran.good
    assert ran.passed == 1
    assert as_json(ran)["failed"] == [{"test": "942100-1", "why": ran.stale[0].why}]
    assert run_of(200, override=excuse(400), strict=False).good


def test_nothing_run_is_not_good() -> None:
    assert not Ran("4.28.0", FAMILIES, Selection()).good


def test_overrides_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yaml"
    path.write_text('"4.28.0":\n  - {rule_id: 942100, test_ids: [1, 5FN], reason: nginx ends it}\n')
    assert set(overrides.own("4.28.0", path)) == {"942100-1", "942100-5FN"}
    assert overrides.own("3.3.4", path) == {}
    with pytest.raises(OverridesError, match="942100-5FN"):
        overrides.check_names(overrides.own("4.28.0", path), ["942100-1"])


@pytest.mark.parametrize(
    "entry", ["{rule_id: 1, test_ids: [1]}", "{rule_id: 1, test_ids: [1], reason: because}"]
)
def test_an_override_needs_a_reason(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "overrides.yaml"
    path.write_text(f'"4.28.0": [{entry}]\n')
    with pytest.raises(OverridesError, match="reason"):
        overrides.own("4.28.0", path)


def test_the_projects_own_overrides_can_be_read() -> None:
    for crs in ("4.28.0", "3.3.4"):
        assert all(override.reason for override in overrides.own(crs).values())


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "REQUEST-942.conf").write_text("SecAction \"id:1,ver:'OWASP_CRS/4.99.1'\"\n")
    for folder, rule in (("REQUEST-942-SQLI", 942100), ("RESPONSE-951-LEAKS", 951100)):
        tests = tmp_path / suites.TESTS / folder
        tests.mkdir(parents=True)
        (tests / f"{rule}.yaml").write_text(FILE.format(rule=rule))
    (found,) = suites.find(None, tmp_path)
    return found


def test_a_checkout_is_a_suite(suite: Suite) -> None:
    assert (suite.crs, suite.rules) == ("4.99.1", suite.root)


def test_what_is_run_and_what_is_not(suite: Suite) -> None:
    chosen = suites.select(suite, FAMILIES, ())
    assert [test.name for test in chosen.tests] == ["942100-1"]
    assert chosen.held == 4
    assert chosen.left_out == {"another family of rules": 2, "a xml body": 1}
    assert len(suites.select(suite, FAMILIES, ("xml",)).tests) == 2
    assert [test.name for test in suites.select(suite, FAMILIES, ("xml",), "942100-2").tests] == ["942100-2"]


def test_a_test_that_is_neither_run_nor_left_out_is_an_error() -> None:
    with pytest.raises(SuiteError, match="2 tests, 0 are accounted for"):
        Selection(held=2).check()


def test_folders_without_suites(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no folder"):
        suites.find(tmp_path, None)
    with pytest.raises(SuiteError, match="no checkout"):
        suites.find(None, tmp_path)
    assert suites.find(None, None) == []


def test_rules_in_an_observation_are_judged() -> None:
    stage = Stage(input=Input(), output=Output(log=Log(expect_ids=(942100,))))
    test = Test(name="942100-1", rule=942100, stages=(stage,))
    ran = Ran("4.28.0", FAMILIES, Selection(tests=[test], held=1))
    seen = Observation(status=200, matches=(Match(942100),))
    judge_all(ran, [Sent(test, stage, "127.1.0.1", b"")], [seen], {})
    assert ran.good
