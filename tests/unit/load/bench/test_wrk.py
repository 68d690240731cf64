"""What wrk prints, and what it sends."""

import re
from pathlib import Path

import lupa.luajit21
import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.bench.traffic import Load, Request
from load.bench.wrk import SCRIPT, LoadError, read_output

PRINTED = """\
Running 4s test @ http://127.0.0.1:8080/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   640.03ms   90.45ms 852.53ms   88.12%
    Req/Sec    24.01      9.11    60.00     70.00%
  Latency Distribution
     50%  635.91us
     75%    1.30ms
     90%    1.13s 
     99%    1.02m 
  161480 requests in 4.05s, 38.50MB read
Requests/sec:  39872.10
Transfer/sec:      9.51MB
"""  # noqa: W291 (wrk fills up units of one letter)


def test_figures_are_read_in_one_unit() -> None:
    run = read_output(PRINTED)
    assert (run.requests, run.seconds) == (161480, 4.05)
    assert run.percentiles == pytest.approx({50: 0.63591, 75: 1.3, 90: 1130.0, 99: 61200.0})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  Non-2xx or 3xx responses: 5\n", "Non-2xx or 3xx responses: 5"),
        (
            "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
            "Socket errors: connect 0, read 1, write 0, timeout 0",
        ),
    ],
)
def test_a_run_with_failures_has_no_figures(line: str, said: str) -> None:
    head, mark, tail = PRINTED.partition("Requests/sec")
    with pytest.raises(LoadError, match=said):
        read_output(head + line + mark + tail)


@pytest.mark.parametrize(("refused", "counted"), [(0.5, 5), (0.1, 1)])
def test_what_must_be_refused_is_counted(refused: float, counted: int) -> None:
    head, mark, tail = PRINTED.replace("161480 requests", "10 requests").partition("Requests/sec")
    line = f"  Non-2xx or 3xx responses: {counted}\n"
    assert read_output(head + line + mark + tail, refused).requests == 10
    for other in (refused + 0.1, refused - 0.1):
        with pytest.raises(LoadError, match="Non-2xx" if other <= 0 else "were refused instead of"):
            read_output(head + line + mark + tail, max(0, other))
    with pytest.raises(LoadError, match=r"0\.0% of the requests were refused instead of"):
        read_output(head + mark + tail, refused)


@pytest.mark.parametrize(
    "text", ["", "unable to connect", PRINTED.replace("161480 requests", "0 requests")], ids=range(3)
)
def test_a_run_without_answers_has_no_figures(text: str) -> None:
    with pytest.raises(LoadError, match="no request was answered"):
        read_output(text)


@pytest.mark.parametrize(("unit", "milliseconds"), [("us", 0.001), ("ms", 1), ("s", 1000), ("m", 60000)])
def test_units(unit: str, milliseconds: float) -> None:
    run = read_output(PRINTED.replace("635.91us", f"2.50{unit}"))
    assert run.percentiles[50] == pytest.approx(2.5 * milliseconds)


def sent(load: Load, start: int, count: int) -> list[str]:
    """What the script gives wrk."""
    lua = lupa.luajit21.LuaRuntime(unpack_returned_tuples=True)
    lua.execute(SCRIPT.read_text())
    words = [str(load.template), str(start)] + ([str(load.values)] if load.values else [])
    lua.globals().init(lua.table_from(words))
    return [str(lua.globals().request()) for _ in range(count)]


def test_a_request_without_a_hole_is_sent_as_it_is(tmp_path: Path) -> None:
    request = Request("/a?b=%7b", (("Host", "x"), ("Accept", "*/*")))
    raw = "GET /a?b=%7b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"
    assert sent(Load.written(request, tmp_path), 0, 3) == [raw] * 3


def test_a_body_comes_with_its_length(tmp_path: Path) -> None:
    load = Load.written(Request("/", (("Host", "x"),), "POST", "a=1&b=2"), tmp_path)
    assert sent(load, 0, 1) == ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\na=1&b=2"]


def test_several_requests_are_sent_in_turn(tmp_path: Path) -> None:
    requests = [Request(path, ()) for path in ("/a", "/b{}", "/c")]
    load = Load.written(requests, tmp_path)
    assert sent(load, 0, 4) == [f"GET {path} HTTP/1.1\r\n\r\n" for path in ("/a", "/b{}", "/c", "/a")]


def test_words_are_others_each_time_and_in_each_run(tmp_path: Path) -> None:
    load = Load.written(Request("/{*}?{*}={*}", (), "POST", "x={*}"), tmp_path)
    pattern = r"POST /(\w{9})\?(\w{9})=(\w{9}) HTTP/1.1\r\nContent-Length: 11\r\n\r\nx=(\w{9})"
    found = [re.fullmatch(pattern, text) for start in (0, 1000) for text in sent(load, start, 100)]
    words = [word for match in found if match for word in match.groups()]
    assert len(words) == 800
    assert len(set(words)) == 800


@given(count=st.integers(1, 6), start=st.integers(0, 20), requests=st.integers(1, 15))
def test_values_are_taken_in_turn_from_where_a_run_begins(
    tmp_path_factory: pytest.TempPathFactory, count: int, start: int, requests: int
) -> None:
    folder = tmp_path_factory.mktemp("load")
    values = folder / "values"
    values.write_text("".join(f"v{number}\n" for number in range(count)))
    load = Load.written(Request("/", (("X", "{}"),)), folder, values)
    assert sent(load, start, requests) == [
        f"GET / HTTP/1.1\r\nX: v{(start + number) % count}\r\n\r\n" for number in range(requests)
    ]
