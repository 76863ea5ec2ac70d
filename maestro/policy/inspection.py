"""What is in a bundle, for people."""

from __future__ import annotations

from maestro.policy.bundle import Bundle
from maestro.policy.syntax import parse_modules

_ROOT = "data.maestro."


def policies_of(bundle: Bundle) -> tuple[str, ...]:
    """Names a gate can give: ``release`` of each package that has one."""
    modules = parse_modules(bundle.files)
    rules = {rule for module in modules for rule in module.rules}
    found = (rule.removeprefix(_ROOT) for rule in rules if rule.startswith(_ROOT) and rule.endswith(".release"))
    return tuple(sorted(found))
