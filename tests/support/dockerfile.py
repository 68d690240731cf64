"""A Dockerfile taken apart; hadolint judges its syntax, so this reads the good ones only."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    word: str
    rest: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY: the stage that it takes from (None: the build context), and what it takes."""

    stage: str | None
    sources: tuple[str, ...]


class Dockerfile:
    """The instructions of a file, by stage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: list[tuple[str, list[Instruction]]] = []
        for instruction in _instructions(path.read_text()):
            if instruction.word == "FROM":
                words = instruction.rest.split()
                name = words[2] if len(words) == 3 and words[1] == "AS" else "final"
                self.stages.append((name, []))
            self.stages[-1][1].append(instruction)

    @property
    def final(self) -> list[Instruction]:
        """What makes the image itself."""
        return self.stages[-1][1]

    def all(self, word: str) -> list[str]:
        """What follows a word, in every stage."""
        return [found.rest for _, stage in self.stages for found in stage if found.word == word]

    def last(self, word: str) -> str:
        """What follows a word that must be in the final stage."""
        return next(found.rest for found in reversed(self.final) if found.word == word)

    def copies(self) -> list[Copy]:
        """Every COPY."""
        copies = []
        for rest in self.all("COPY"):
            words = rest.split()
            stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
            copies.append(Copy(stage, tuple(words[:-1])))
        return copies

    def needs(self) -> set[str]:
        """Which groups of debian-packages.txt are installed, in any stage."""
        return {
            need
            for rest in self.all("RUN")
            if "install-packages" in rest
            for need in rest.partition("install-packages")[2].partition("&&")[0].split()
        }

    def command(self) -> list[list[str]]:
        """What the container runs, as command lines; those inside `sh -c` one by one."""
        words = self._exec_form("ENTRYPOINT") + self._exec_form("CMD")
        if words[:2] != ["sh", "-c"]:
            return [words]
        lines = [shlex.split(part) for part in words[2].split("&&")]
        return [line[1:] if line[0] == "exec" else line for line in lines]

    def _exec_form(self, word: str) -> list[str]:
        return [str(item) for found in self.final if found.word == word for item in json.loads(found.rest)]


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]
