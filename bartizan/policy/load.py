"""From a policy file to a policy, or to all that is wrong with it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bartizan.policy.checks import Given, doubtful, unsafe
from bartizan.policy.document import Document, read_document
from bartizan.policy.files import expiring, unusable_files
from bartizan.policy.messages import explained
from bartizan.policy.models import Policy
from bartizan.policy.problems import Finding, Key, PolicyError, Problem, written


def load_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: with every mistake in the file.
    """
    return read_policy(path)[0]


def read_policy(path: Path) -> tuple[Policy, tuple[Problem, ...]]:
    """Read and check a policy file; return the policy, and what is doubtful about it.

    Raises:
        PolicyError: with every mistake in the file.
    """
    document = read_document(path)
    context = {"folder": path.absolute().parent}
    findings: list[Finding] = []
    moved = list(range(len(_routes(document.data))))
    data = document.data
    policy: Policy | None = None
    try:
        policy = Policy.model_validate(data, context=context)
    except ValidationError as error:
        findings += explained(error, data)
        # What is well formed is judged further, so that a person sees all mistakes at once.
        data, moved = _without(data, [finding.key for finding in findings])
        try:
            policy = Policy.model_validate(data, context=context)
        except ValidationError:
            policy = None
    if policy is not None:
        further = (*unsafe(policy, _given(document.data)), *unusable_files(policy))
        findings += (_moved_back(finding, moved) for finding in further)
    problems = _problems(document, findings)
    if problems or policy is None:
        raise PolicyError(path, problems)
    return policy, tuple(sorted(_problems(document, (*doubtful(policy), *expiring(policy)))))


def _problems(document: Document, findings: Iterable[Finding]) -> list[Problem]:
    problems = []
    for key, message, other in findings:
        line, shown = document.place(key)
        if other:
            other_line, other_shown = document.place(other)
            message = message.replace("{other}", f"{written(other_shown)} (line {other_line})")  # noqa: PLW2901
        problems.append(Problem(line, written(shown), message))
    return problems


def _moved_back(finding: Finding, moved: list[int]) -> Finding:
    """Name routes by their place in the file, whatever was left out before them."""

    def back(key: Key) -> Key:
        return ("routes", moved[int(key[1])], *key[2:]) if key[:1] == ("routes",) and len(key) > 1 else key

    return Finding(back(finding.key), finding.message, back(finding.other))


def _given(data: Any) -> Given:
    sections = data if isinstance(data, dict) else {}

    def names(section: str) -> frozenset[str]:
        found = sections.get(section)
        return frozenset(found) if isinstance(found, dict) else frozenset()

    return Given(names("issuers"), names("upstreams"), no_routes=sections.get("routes") == ())


def _routes(data: Any) -> tuple[Any, ...]:
    routes = data.get("routes") if isinstance(data, dict) else None
    return routes if isinstance(routes, tuple) else ()


def _without(data: Any, wrong: list[Key]) -> tuple[Any, list[int]]:
    """Take out the parts that hold a mistake: a route, an upstream, an issuer, or a whole other section.

    Returns:
        The rest, and for each route that is left its index in the file.
    """
    if not isinstance(data, dict):
        return {"routes": ()}, []
    rest = dict(data)
    dropped = {key[1] for key in wrong if key and key[0] == "routes" and len(key) > 1}
    kept = [index for index in range(len(_routes(data))) if index not in dropped]
    for key in wrong:
        section = str(key[0]) if key else ""
        if section in {"issuers", "upstreams"} and len(key) > 1:
            rest[section] = {name: value for name, value in rest[section].items() if name != key[1]}
        elif section != "routes" or len(key) == 1:
            rest.pop(section, None)
    rest["routes"] = tuple(_routes(data)[index] for index in kept)
    return rest, kept
