"""The policy file of an audit: read it, explain it, start one.

loading    TOML or YAML → Policy, with the line of every rule        positions   which line that is
explaining each rule as a sentence              selectors   which layers a rule means
template   what `interlayer policy init` writes
"""

from interlayer.policy.explaining import explain
from interlayer.policy.loading import LoadedPolicy, PolicyError, load_policy, read_policy
from interlayer.policy.template import TEMPLATE

__all__ = ["TEMPLATE", "LoadedPolicy", "PolicyError", "explain", "load_policy", "read_policy"]
