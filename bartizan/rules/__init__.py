"""Rules: from files in SecLang to what the edge runs."""

from bartizan.rules.compile import compile_rules
from bartizan.rules.settings import Exclusion, RuleSettings, RuleSource

__all__ = ["Exclusion", "RuleSettings", "RuleSource", "compile_rules"]
