"""The rules that a policy asks for, compiled: one plan for each set of settings that some route has."""

from collections.abc import Callable
from pathlib import Path

from bartizan.layout import Layout
from bartizan.policy import Policy, ResolvedRoute, Waf
from bartizan.rules import Exclusion, RuleSettings, RuleSource, compile_rules
from bartizan.rules.install import installed

Progress = Callable[[int, int, str], None]


def rule_settings(waf: Waf) -> RuleSettings:
    """Return what of a guard's settings the rules are compiled for; the rest the guard sees to as it runs."""
    return RuleSettings(
        paranoia=waf.paranoia,
        inbound=waf.thresholds.inbound,
        outbound=waf.thresholds.outbound,
        exclusions=tuple(
            Exclusion(rule=found.rule, tag=found.tag, parameter=found.parameter) for found in waf.exclusions
        ),
    )


def rule_source(policy: Policy, layout: Layout) -> RuleSource:
    """Return where a policy's rules lie.

    Raises:
        BartizanError: they go by a name under which none are installed.
    """
    named = policy.rules.source
    return RuleSource(
        folder=installed(named, layout.rules / "installed") if isinstance(named, str) else named,
        before=policy.rules.before,
        after=policy.rules.after,
        plugins=policy.rules.plugins,
    )


def compile_plans(
    policy: Policy, layout: Layout, routes: tuple[ResolvedRoute, ...], progress: Progress | None = None
) -> dict[RuleSettings, Path]:
    """Compile what the routes need; what was compiled before is only looked up.

    Returns:
        The folder of the plan for each of the settings.

    Raises:
        BartizanError: the rules can't be used; the message says where and why.
    """
    wanted = {
        rule_settings(guard.settings): None
        for route in routes
        for guard in route.plan
        if isinstance(guard.settings, Waf)
    }
    if not wanted:
        return {}
    source = rule_source(policy, layout)
    return {
        settings: compile_rules(source, settings, layout.rules / "compiled", progress) for settings in wanted
    }
