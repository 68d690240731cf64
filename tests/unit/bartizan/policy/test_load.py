"""Loading: all mistakes at once, the right lines, and no file that a policy could choke on."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import PolicyError, load_policy, resolve
from bartizan.policy.load import read_policy

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
NO_ROUTES = "without routes every request is refused: list what is to be served"
KEYS = ["listen", "routes", "upstreams", "issuers", "defaults", "rate", "tls", "https", "a"]
GOOD = """\
issuers:
  far: {issuer: x, jwks: 'http://keys.example/jwks', algorithms: [ES256]}
upstreams:
  data: {servers: [http://127.0.0.1:5200]}
routes:
  - {prefix: /a, methods: [GET], upstream: data, auth: {issuer: far, audience: d, mode: observe}}
  - {prefix: /b, methods: [GET], upstream: data, auth: none, rate: {limit: 5/s, mode: observe}}
"""


def write(folder: Path, text: str | bytes) -> Path:
    """Write a policy file."""
    path = folder / "gateway.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problems(path: Path) -> list[str]:
    """Return what is wrong with a policy file."""
    with pytest.raises(PolicyError) as error:
        load_policy(path)
    return [line.removeprefix(f"{path}:") for line in error.value.lines()]


def test_the_demo_policy_is_good() -> None:
    policy, doubts = read_policy(Path(__file__).parents[4] / "gateway.yaml")
    assert len(policy.routes) == 5
    assert not doubts


def test_what_is_doubtful_is_told_but_served(tmp_path: Path) -> None:
    _, doubts = read_policy(write(tmp_path, GOOD))
    assert [(doubt.line, doubt.key) for doubt in doubts] == [
        (2, "issuers.far.jwks"),
        (6, "routes[0].auth"),
        (7, "routes[1]"),
    ]


def test_an_issuer_that_no_route_uses_is_told(tmp_path: Path) -> None:
    text = GOOD.replace("auth: {issuer: far, audience: d, mode: observe}", "auth: none")
    _, doubts = read_policy(write(tmp_path, text))
    assert next((doubt.key, doubt.message) for doubt in doubts) == (
        "issuers.far",
        "no route takes its tokens, so its keys are not fetched",
    )


def test_mistakes_of_every_layer_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("[GET], upstream: data, auth: {", "[get], upstream: data, auth: {").replace(
        "prefix: /b, methods: [GET], upstream: data", "prefix: /healthz, methods: [GET], upstream: dota"
    )
    assert problems(write(tmp_path, text)) == [
        f"6: routes[0].methods[0]: 'get' is not allowed (allowed: {METHODS})",
        "7: routes[1].prefix: /healthz is answered by the gateway itself; choose another path",
        "7: routes[1].upstream: upstream 'dota' is not defined; did you mean data? (defined: data)",
    ]


def test_overlaps_are_named_by_their_place_in_the_file_although_others_are_broken(tmp_path: Path) -> None:
    text = GOOD + (
        "  - {prefix: /c}\n"
        "  - {prefix: /d, methods: [GET], upstream: data, auth: none}\n"
        "  - {prefix: /d, methods: [GET], upstream: data, auth: none}\n"
    )
    assert problems(write(tmp_path, text))[-1] == (
        "10: routes[4]: overlaps with routes[3] (line 9): both serve GET, HEAD /d;"
        " change path, methods or hosts of one"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "1: is not a policy; it needs at least upstreams: and routes:"),
        ("- a\n", "1: is not a policy; it needs at least upstreams: and routes:"),
        ("just text", "1: is not a policy; it needs at least upstreams: and routes:"),
        (b"\nlisten: \xff", "2: the file is not UTF-8 text"),
        ("upstreams: {}\nroutes: []\n", f"2: routes: is empty; {NO_ROUTES}"),
        ("upstreams: {}\n", f"1: routes: is missing; {NO_ROUTES}"),
        ("a: &a [*a]\n", "1: a[0]: an alias that contains itself"),
        ("? [a]\n: b\n", "1: a key must be plain text"),
        ("a: *nothing\n", "1: not valid YAML: found undefined alias 'nothing'"),
        ("a: '\n", "2: not valid YAML: found unexpected end of stream"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_told(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert problems(write(tmp_path, content))[0] == message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == [
        "1: can't read the policy file (No such file or directory); name another with --policy FILE"
    ]


def test_aliases_share_settings(tmp_path: Path) -> None:
    text = GOOD.replace("rate: {limit: 5/s, mode: observe}", "rate: &calm {limit: 5/s, burst: 3}") + (
        "  - {prefix: /c, methods: [GET], upstream: data, auth: none, rate: *calm}\n"
    )
    policy = load_policy(write(tmp_path, text))
    assert policy.routes[1].rate == policy.routes[2].rate


def test_aliases_are_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bartizan.policy.document.MOST_VALUES", 5000)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "more than 5,000 values, aliases unfolded" in problems(write(tmp_path, "\n".join(lines)))[0]


def test_files_are_relative_to_the_policy(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "bad.txt").write_text("192.0.2.0/24\n", encoding="utf-8")
    text = GOOD.replace("auth: none", "auth: none, addresses: {deny_files: [lists/bad.txt]}")
    policy = load_policy(write(tmp_path, text))
    assert policy.routes[1].addresses is not None
    assert policy.routes[1].addresses.deny_files == (tmp_path / "lists" / "bad.txt",)


def test_a_list_with_a_bad_line_is_told_once_a_route_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("192.0.2.0/24\nnonsense\n", encoding="utf-8")
    text = GOOD.replace("auth: none", "auth: none, addresses: {deny_files: [bad.txt]}")
    (said,) = problems(write(tmp_path, text))
    assert said.startswith(
        f"7: routes[1].addresses.deny_files[0]: {tmp_path}/bad.txt, line 2: 'nonsense' is no IP address"
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        max_leaves=15,
    )
)
def test_whatever_is_written_is_told_in_words(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    path = write(tmp_path_factory.mktemp("policy"), json.dumps(data))
    for line in problems(path):
        assert line.split(":", 1)[0].isdigit()


def test_thousands_of_routes_resolve_in_seconds(tmp_path: Path) -> None:
    # The budget is for a busy machine; alone it takes a tenth of it.
    lines = [f"  - {{prefix: /p{n}, methods: [GET], upstream: data, auth: none}}" for n in range(1000)]
    started = time.process_time()
    assert len(resolve(load_policy(write(tmp_path, GOOD + "\n".join(lines))))) == 1002
    assert time.process_time() - started < 30
