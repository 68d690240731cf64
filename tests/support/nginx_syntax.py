"""nginx.conf read as nginx reads it (ngx_conf_read_token), so that tests can ask what a rendering says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_SPACE = " \t\r\n"
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}


@dataclass
class Directive:
    """A directive.

    Attributes:
        words: its name and arguments, without quotes and escapes.
        block: the directives inside its braces; of a Lua block nothing but its text.
    """

    words: list[str]
    block: list[Directive] = field(default_factory=list)
    lua: str = ""

    def all(self, *path: str) -> list[Directive]:
        """Return the directives inside this one, by names: `all("http", "server")`."""
        found = [inner for inner in self.block if inner.words[0] == path[0]]
        return found if len(path) == 1 else [deeper for inner in found for deeper in inner.all(*path[1:])]

    def values(self, *path: str) -> list[list[str]]:
        """Return the arguments of each directive inside this one."""
        return [found.words[1:] for found in self.all(*path)]

    def walk(self) -> Iterator[Directive]:
        """Give all directives inside this one."""
        for inner in self.block:
            yield inner
            yield from inner.walk()


def read(text: str) -> Directive:
    """Read a whole file.

    Raises:
        ValueError: nginx would not take it.
    """
    reader = _Reader(text)
    root = Directive([])
    reader.block(root, outermost=True)
    return root


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def block(self, parent: Directive, *, outermost: bool = False) -> None:
        words: list[str] = []
        while True:
            self._skip()
            if self.at >= len(self.text):
                if not outermost or words:
                    raise ValueError("unexpected end of file")
                return
            character = self.text[self.at]
            if character == ";":
                self._finish(parent, words)
                words = []
            elif character == "{":
                self.at += 1
                inner = Directive(words)
                if words[0].endswith("_by_lua_block"):
                    inner.lua = self._lua()
                else:
                    self.block(inner)
                parent.block.append(inner)
                words = []
            elif character == "}":
                if outermost or words:
                    raise ValueError('unexpected "}"')
                self.at += 1
                return
            else:
                words.append(self._word())

    def _finish(self, parent: Directive, words: list[str]) -> None:
        if not words:
            raise ValueError('unexpected ";"')
        self.at += 1
        parent.block.append(Directive(words))

    def _skip(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at] in _SPACE:
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def _word(self) -> str:
        quote = self.text[self.at] if self.text[self.at] in "\"'" else ""
        self.at += len(quote)
        word = ""
        while True:
            if self.at >= len(self.text):
                raise ValueError("unexpected end of file")
            character = self.text[self.at]
            if character == "\\":
                after = self.text[self.at + 1 : self.at + 2]
                word += _ESCAPES.get(after, "\\" + after)
                self.at += 2
            elif quote and character == quote:
                self.at += 1
                if self.text[self.at : self.at + 1] not in (*_SPACE, ";", "{", ")"):
                    raise ValueError(f"unexpected {self.text[self.at : self.at + 1]!r} behind a quote")
                return word
            elif not quote and (character in _SPACE or character in ";{"):
                return word
            elif not quote and self.text.startswith("${", self.at):
                end = self.text.index("}", self.at)
                word += self.text[self.at : end + 1]
                self.at = end + 1
            else:
                word += character
                self.at += 1

    def _lua(self) -> str:
        """Read to the brace that ends a Lua block; strings of Lua may hold braces."""
        start, depth = self.at, 1
        while True:
            if self.at >= len(self.text):
                raise ValueError("unexpected end of file in a Lua block")
            character = self.text[self.at]
            if character in "\"'":
                self.at = self._lua_string_end(character)
                continue
            depth += {"{": 1, "}": -1}.get(character, 0)
            self.at += 1
            if depth == 0:
                return self.text[start : self.at - 1]

    def _lua_string_end(self, quote: str) -> int:
        at = self.at + 1
        while self.text[at] != quote:
            at += 2 if self.text[at] == "\\" else 1
        return at + 1
