"""A YAML file as plain values that remember their lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bartizan.policy.problems import Key, PolicyError, Problem, written

# Aliases are welcome (routes share settings), but not as a bomb that unfolds to billions of values. Ten
# thousand routes have about 200,000.
MOST_VALUES: Final = 500_000
_KINDS: Final = ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says.

    Attributes:
        data: dict, tuple, str, int, float, bool or None. Sequences are tuples: nothing in a policy changes.
        root: the node graph, which knows the lines.
    """

    data: Any
    root: Node | None

    def place(self, key: Key) -> tuple[int, Key]:
        """Return the line of a key, or of the nearest thing around it in the file, and the key as written.

        Where a short form stands in the file (one setting for a list of one, a number for a listener), the
        key as written is without what the short form leaves out.
        """
        node = self.root
        line = 1 if node is None else node.start_mark.line + 1
        shown: list[str | int] = []
        for part in key:
            if (isinstance(node, MappingNode) and isinstance(part, int)) or isinstance(node, ScalarNode):
                continue
            shown.append(part)
            if isinstance(node, MappingNode):
                found = next((pair for pair in node.value if pair[0].value == part), None)
                node = found[1] if found else None
                line = found[0].start_mark.line + 1 if found else line
            elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                node = None
        return line, tuple(shown)


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        PolicyError: the file can't be read, is not YAML, repeats a key, or uses tags of its own.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise PolicyError(path, [Problem(line, "", "the file is not UTF-8 text")]) from error
    except OSError as error:
        message = f"can't read the policy file ({error.strerror}); name another with --policy FILE"
        raise PolicyError(path, [Problem(1, "", message)]) from error
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not valid YAML: {error.problem or error.context}"
        raise PolicyError(path, [Problem(mark.line + 1 if mark else 1, "", message)]) from error
    except (YAMLError, RecursionError) as error:
        raise PolicyError(path, [Problem(1, "", f"not valid YAML: {error}")]) from error
    builder = _Builder(yaml)
    data = builder.value(root, ()) if root is not None else None
    if builder.problems:
        raise PolicyError(path, builder.problems)
    return Document(data, root)


class _Builder:
    """Turns nodes into plain values, and gathers what must not stand in a policy."""

    def __init__(self, yaml: YAML) -> None:
        self._construct = yaml.constructor.construct_object
        self._open: list[Node] = []
        self._values = 0
        self.problems: list[Problem] = []

    def _refuse(self, node: Node, key: Key, message: str) -> None:
        self.problems.append(Problem(node.start_mark.line + 1, written(key), message))

    def value(self, node: Node, key: Key) -> Any:
        """Return the plain value of a node."""
        self._values += 1
        if self._values > MOST_VALUES:
            if self._values == MOST_VALUES + 1:
                self._refuse(node, (), f"more than {MOST_VALUES:,} values, aliases unfolded")
            return None
        if any(node is outer for outer in self._open):
            self._refuse(node, key, "an alias that contains itself")
            return None
        self._open.append(node)
        try:
            if str(node.tag) not in _TAGS:
                self._refuse(node, key, f"the tag {node.tag} is not used in a policy; write the plain value")
                return None
            match node:
                case MappingNode():
                    return dict(self._pairs(node, key))
                case SequenceNode():
                    return tuple(self.value(item, (*key, index)) for index, item in enumerate(node.value))
                case ScalarNode():
                    return self._scalar(node)
                case _:  # the composer makes no other kind
                    raise AssertionError(node)
        finally:
            self._open.pop()

    def _pairs(self, node: MappingNode, key: Key) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, ScalarNode):
                self._refuse(name_node, key, "a key must be plain text")
                continue
            name = str(name_node.value)
            line = name_node.start_mark.line + 1
            if name in seen:
                self._refuse(name_node, (*key, name), f"given twice; it was first given in line {seen[name]}")
                continue
            seen[name] = line
            yield name, self.value(value_node, (*key, name))

    def _scalar(self, node: ScalarNode) -> Any:
        if str(node.tag).endswith(":timestamp"):
            return str(node.value)
        return self._construct(node)
