"""Scenarios that the sandbox can play, by name."""

from typing import TYPE_CHECKING

from dynatrail.errors import SandboxError

if TYPE_CHECKING:
    from dynatrail.sandbox.scenarios.script import Scenario


def find(name: str) -> "Scenario":
    """The scenario of that name.

    Raises:
        SandboxError: there is none.
    """
    from dynatrail.sandbox.scenarios import clinic, tiny

    known = {scenario.name: scenario for scenario in (clinic.SCENARIO, tiny.SCENARIO)}
    if name not in known:
        raise SandboxError(f"There is no scenario {name!r}; play one of: {', '.join(known)}.")
    return known[name]
