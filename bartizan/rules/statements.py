"""A rule file as statements: which directive, with what, in which line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import ply.yacc
from msc_pyparser import MSCLexer, MSCParser

from bartizan.rules.problems import Mistake, Place, Problem, RulesError

_CONTINUED: Final = re.compile(r"\\[ \t]*$")
_NAME: Final = re.compile(r"(<?/?[A-Za-z0-9]+)\s*(.*)", re.DOTALL)
_ARGUMENT: Final = re.compile(r'(?:[^"\\]|\\.)+', re.DOTALL)
_QUOTED_TARGETS: Final = re.compile(r'(SecRule\s+)"([^"]*)"(?=\s)', re.IGNORECASE)
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|([^\s"\']\S*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive.

    Attributes:
        name: as it is written.
        text: what follows, in one line.
    """

    place: Place
    name: str
    text: str

    def words(self) -> tuple[str, ...]:
        """Return the arguments, without their quotes.

        Raises:
            Mistake: a quote is not closed.
        """
        found: list[str] = []
        at = 0
        while at < len(self.text):
            match = _WORD.match(self.text, at)
            if match is None:
                raise Mistake(f"{self.name} has a quote that is not closed")
            found.append(next(group for group in match.groups() if group is not None))
            at = match.end()
            if at < len(self.text) and not self.text[at].isspace():
                raise Mistake(f"{self.name} has text right after a closing quote; put a space between")
            at += len(self.text[at:]) - len(self.text[at:].lstrip())
        return tuple(found)


def read_statements(path: Path) -> Iterator[Statement]:
    """Read a file's statements; comments and empty lines are left out.

    Raises:
        RulesError: the file can't be read, ends in the middle of a statement, or loses one in a comment.
    """
    try:
        # str.splitlines would also end a line at a form feed, which a regular expression may hold.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RulesError([Problem(Place(path, line), "the file is not UTF-8 text")]) from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise RulesError([Problem(Place(path, 1), f"can't read the rule file: {why}")]) from error
    at = 0
    while at < len(lines):
        place, text = Place(path, at + 1), ""
        while at < len(lines) and _CONTINUED.search(lines[at]):
            text += _CONTINUED.sub("", lines[at])
            at += 1
            _not_lost(text, lines, Place(path, at + 1))
        if at == len(lines):
            if text.lstrip().startswith("#"):
                return
            message = "the file ends in the middle of a statement: its last line ends with a backslash"
            raise RulesError([Problem(place, message)])
        text = (text + lines[at]).strip()
        at += 1
        if not text or text.startswith("#"):
            continue
        match = _NAME.fullmatch(text)
        if match is None:
            message = f"{text[:30]!r} is no directive; did the line before lose its backslash?"
            raise RulesError([Problem(place, message)])
        yield Statement(place, match[1], match[2])


def _not_lost(text: str, lines: list[str], place: Place) -> None:
    """A comment that ends with a backslash goes on: what it takes in must look like a comment."""
    following = lines[place.line - 1].strip() if place.line <= len(lines) else ""
    if text.lstrip().startswith("#") and following and not following.startswith("#"):
        message = "the comment before ends with a backslash, so this line belongs to it; take it out"
        raise RulesError([Problem(place, message)])


class _Lexer(MSCLexer):  # type: ignore[misc]  # msc-pyparser has no types
    """Takes every name: the tables in names.py judge them, and say what would be right."""

    operator_seen: bool = False

    def parse_config_directive(self, t: Any) -> str:
        self.st_action_quote = 0
        rule = t.value.strip().lower() == "secrule"
        t.lexer.begin("STSECRULEVARIABLENEXT" if rule else "STSECRULEACTION")
        return "T_CONFIG_DIRECTIVE_SECRULE" if rule else "T_CONFIG_DIRECTIVE_SECACTION"

    def parse_config_secrule_variable(self, t: Any) -> str:
        t.lexer.begin("STSECRULEVARIABLE")
        return "T_SECRULE_VARIABLE"

    def parse_config_secrule_operator(self, t: Any) -> str:
        if re.match(r"!?@", t.value):
            if not self.operator_seen:
                self.operator_seen = True
                return "T_SECRULE_OPERATOR_WITH_EXCLAMMARK" if t.value[0] == "!" else "T_SECRULE_OPERATOR"
            # An argument that begins with @, too: the token ends with its name, the argument does not.
            if t.lexer.lexstate == "STSECRULEQUOTEDOPERATOR":
                rest = _ARGUMENT.match(t.lexer.lexdata, t.lexer.lexpos)
                t.value += rest[0] if rest else ""
                t.lexer.lexpos += len(rest[0]) if rest else 0
        if t.lexer.lexstate == "STSECRULEOPERATOR":
            t.lexer.begin("STSECRULEACTION")
            self.st_action_quote = 0
        return "T_SECRULE_OPERATOR_ARGUMENT"

    def parse_config_secrule_action(self, t: Any) -> str:  # noqa: ARG002 (it takes every name)
        return "T_SECRULE_ACTION"


class _Parser(MSCParser):  # type: ignore[misc]
    """msc-pyparser's grammar for one statement at a time.

    Its own constructor writes tables beside whatever is imported, and at the end of a file it takes half a
    rule for none.
    """

    secrule: dict[str, Any]
    secaction: dict[str, Any]
    configlines: list[dict[str, Any]]

    def __init__(self) -> None:
        self.lexer = _Lexer()
        self.parser = ply.yacc.yacc(
            module=self, write_tables=False, debug=False, errorlog=ply.yacc.NullLogger()
        )

    def p_error(self, p: Any) -> None:
        if p is None:
            raise Mistake("the statement is not whole: a quote is not closed, or an argument is missing")
        raise Mistake(f"not understood from {p.lexer.lexdata[p.lexpos :][:30]!r} on")

    def read(self, text: str) -> dict[str, Any]:
        """Return what a SecRule or SecAction says.

        Raises:
            Mistake: it is not well formed.
        """
        self.secrule, self.secaction, self.secconfdir, self.configlines = {}, {}, "", []
        self.lexer.st_continue = self.lexer.st_action_quote = 0
        self.lexer.operator_seen = False
        self.lexer.lexer.begin("INITIAL")
        self.lexer.lexer.lineno = 1
        try:
            self.parser.parse(text, lexer=self.lexer.lexer)
        except Mistake:
            raise
        except Exception as error:  # msc-pyparser raises no other class
            where = error.args[1]["position"] if len(error.args) > 1 else 0
            raise Mistake(f"not understood from {text[where:][:30]!r} on") from error
        if len(self.configlines) > 1:
            raise Mistake("more follows where the statement ends; a comment stands in a line of its own")
        if not self.configlines:
            raise Mistake("the statement is not whole: a quote is not closed, or an argument is missing")
        read: dict[str, Any] = self.configlines[0]
        return read


@cache
def _parser() -> _Parser:
    return _Parser()


def parse(text: str) -> dict[str, Any]:
    """Return what one SecRule or SecAction says, as msc-pyparser tells it.

    Raises:
        Mistake: it is not well formed.
    """
    return _parser().read(_QUOTED_TARGETS.sub(r"\1\2", text, count=1))
