"""lua/bartizan/waf/hyperscan.lua, with databases as `bartizan rules compile` makes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.rules.hyperscan import ALLOWEMPTY, DOTALL, MULTILINE, Expression, compile_database
from tests.support.lua import Lua, luajit
from tests.support.memory import resident_bytes

MEBIBYTE: Final = 1 << 20
SCANS: Final = Path(__file__).with_name("scans.lua")


def database(*patterns: tuple[int, bytes]) -> bytes:
    return compile_database([Expression(number, pattern, DOTALL | MULTILINE) for number, pattern in patterns])


SMALL: Final = database((1, rb"a+b"), (2, rb"^c"), (70000, rb"(?i)needle"))


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua(encoding="latin-1")


def load(lua: Lua, content: bytes) -> Any:
    return lua.require("bartizan.waf.hyperscan").load(content.decode("latin-1"))


def ids(lua: Lua, db: Any, value: bytes) -> list[int]:
    """Return the numbers of the patterns that match, as often as they are reported."""
    out = lua.table([])
    count = db.ids(db, value.decode("latin-1"), out)
    return sorted(out[n] for n in range(1, count + 1))


@pytest.mark.parametrize("where", ["lupa", "luajit"])
def test_scans_in_compiled_loops(tmp_path: Path, where: str) -> None:
    """A callback into Lua from compiled code would end the process, or the worker."""
    path = tmp_path / "small.hs"
    path.write_bytes(SMALL)
    lines = (
        Lua().execute("return dofile(...).run(select(2, ...))", str(SCANS), str(path))
        if where == "lupa"
        else luajit(SCANS, str(path))
    )
    assert lines.splitlines() == [
        "false ",
        "true 1",
        "true 1",
        "true 2",
        "false ",
        "true 1,2",
        "true 70000",
        "true 1,2,70000",
        "false ",
        "true 1",
    ]


def test_a_pattern_that_matches_often_is_told_once(lua: Lua) -> None:
    db = load(lua, SMALL)
    assert ids(lua, db, b"ab" * 1000) == [1]
    assert ids(lua, db, b"c\nc\nc ab") == [1, 2]


def test_what_an_earlier_scan_found_is_told_again(lua: Lua) -> None:
    db = load(lua, SMALL)
    assert [ids(lua, db, value) for value in (b"ab", b"ab", b"", b"c ab", b"c")] == [
        [1],
        [1],
        [],
        [1, 2],
        [2],
    ]


def test_each_database_has_its_own_numbers(lua: Lua) -> None:
    """One scratch serves all: a small database that is loaded after a large one, and the other way round."""
    large = load(lua, database(*((n, b"word%d[a-z]{2,50}x" % n) for n in range(1, 300))))
    small = load(lua, SMALL)
    larger = load(lua, database(*((n, b"w%d.{3,90}x[0-9]{4,9}" % n) for n in range(1, 60))))
    assert ids(lua, large, b"word7abcx") == [7]
    assert ids(lua, small, b"word7ab") == [1]
    assert ids(lua, larger, b"w39 abcx12345") == [3, 39]


PATTERNS: Final = (
    rb"a+b",
    rb"^c",
    rb"(?i)d[^a]e",
    rb"b$",
    rb"\x00",
    rb"[\x80-\xff]{2}",
    rb"a.b",
    rb"",
    rb"(?:ab){2}",
)
EXPRESSIONS: Final = [Expression(n, p, DOTALL | MULTILINE | ALLOWEMPTY) for n, p in enumerate(PATTERNS, 1)]
SHARED: Final = Lua(encoding="latin-1")
SHARED_DB: Final = load(SHARED, compile_database(EXPRESSIONS))


@given(
    st.one_of(
        st.binary(max_size=40),
        st.lists(
            st.sampled_from([b"a", b"b", b"ab", b"\n", b"c", b"D", b"e", b"\0", b"\xff"]), max_size=20
        ).map(b"".join),
    )
)
def test_it_finds_what_python_finds(value: bytes) -> None:
    found = [n for n, p in enumerate(PATTERNS, 1) if re.search(p, value, re.DOTALL | re.MULTILINE)]
    assert ids(SHARED, SHARED_DB, value) == found
    assert SHARED_DB.any(SHARED_DB, value.decode("latin-1")) is bool(found)


def altered(at: int, content: bytes = SMALL) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Hyperscan: "),
        (b"not a database, but long enough to be one", "Hyperscan: "),
        (SMALL[:-1], "Hyperscan: "),
        (SMALL[:20], "Hyperscan: "),
        (altered(0), "Hyperscan: "),
        (altered(5), "Hyperscan: made by another version of Hyperscan: compile the rules anew"),
        (altered(14), "Hyperscan: made for another processor: compile the rules anew"),
        (altered(len(SMALL) // 2), "Hyperscan: "),
    ],
)
def test_what_is_no_database_of_this_machine_is_refused(lua: Lua, content: bytes, message: str) -> None:
    loaded, error = load(lua, content)
    assert loaded is None
    assert error.startswith(message)


def test_a_database_that_is_no_text_is_the_callers_mistake(lua: Lua) -> None:
    with pytest.raises(Exception, match="expected a string, got nil"):
        lua.require("bartizan.waf.hyperscan").load(None)


def test_the_version_is_the_librarys(lua: Lua) -> None:
    assert re.match(r"\d+\.\d+\.\d+ ", lua.require("bartizan.waf.hyperscan").version())


def test_what_is_dropped_is_freed() -> None:
    lua = Lua(encoding="latin-1")
    content = database(*((n, b"word%d[a-z]{2,50}x" % n) for n in range(1, 500)))
    lua.execute("content = ...", content.decode("latin-1"))
    lua.execute("""
        local hyperscan = require("bartizan.waf.hyperscan")
        function churn(count)
            for i = 1, count do
                local db = assert(hyperscan.load(content))
                assert(db:any("word7abcx") == true and db:ids("word7abcx", {}) == 1)
                db = nil
                collectgarbage()
            end
        end
    """)
    lua.execute("churn(20)")
    before, count = resident_bytes(), 64 * MEBIBYTE // len(content)
    lua.execute(f"churn({count})")
    assert resident_bytes() - before < 16 * MEBIBYTE


def test_scans_leave_nothing_behind(lua: Lua) -> None:
    lua.execute("db = ...", load(lua, SMALL))
    scan = "local out = {} for i = 1, 20000 do db:any('ab' .. i) db:ids('c needle ab' .. i, out) end"
    lua.execute(scan)
    before = lua.memory()
    lua.execute(scan)
    assert lua.memory() - before < 64 * 1024
