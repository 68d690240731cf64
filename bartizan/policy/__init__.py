"""The policy: what an operator writes in gateway.yaml, checked and made explicit."""

from bartizan.policy.base import Mode, Model
from bartizan.policy.guards import Addresses, Auth, Concurrency, Cors, Rate
from bartizan.policy.listeners import Listen, Listener, Operator, Tls
from bartizan.policy.load import load_policy
from bartizan.policy.models import Defaults, Policy, Route
from bartizan.policy.problems import PolicyError, Problem
from bartizan.policy.resolved import Guard, ResolvedRoute, resolve
from bartizan.policy.rules import Exclusion, Rules, Thresholds, Waf
from bartizan.policy.services import Issuer, Upstream
from bartizan.policy.values import Frequency

__all__ = [
    "Addresses",
    "Auth",
    "Concurrency",
    "Cors",
    "Defaults",
    "Exclusion",
    "Frequency",
    "Guard",
    "Issuer",
    "Listen",
    "Listener",
    "Mode",
    "Model",
    "Operator",
    "Policy",
    "PolicyError",
    "Problem",
    "Rate",
    "ResolvedRoute",
    "Route",
    "Rules",
    "Thresholds",
    "Tls",
    "Upstream",
    "Waf",
    "load_policy",
    "resolve",
]
