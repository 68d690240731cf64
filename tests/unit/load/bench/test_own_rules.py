"""The rules that a bench adds are rules, and each is there to match something else."""

from pathlib import Path

from bartizan.rules.model import Rule
from bartizan.rules.read import read_rules
from load.bench.peers.bartizan import own_rules


def test_as_many_as_asked_each_with_its_own_question(tmp_path: Path) -> None:
    path = tmp_path / "own.conf"
    path.write_text(own_rules(100), encoding="ascii")
    read = [entry for entry in read_rules([path]).entries if isinstance(entry, Rule)]
    assert len({rule.id for rule in read}) == 100
    assert len({(str(rule.links[0].variables), str(rule.links[0].operator)) for rule in read}) == 100
