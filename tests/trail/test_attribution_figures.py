"""What `make bench-attribution` claims, over small scenarios of a seed of their own."""

import importlib.util
import sys

import pytest

from dynatrail.settings import PROJECT

_SPEC = importlib.util.spec_from_file_location("attribution_figures", PROJECT / "benchmarks" / "attribution.py")
figures = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = figures  # dataclasses look their module up
_SPEC.loader.exec_module(figures)
SCENARIOS, _scenario = figures.SCENARIOS, figures._scenario


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_nothing_that_is_called_certain_is_wrong(name):
    seen = _scenario(name, 1_500, 77)
    assert seen["changes"] > 500
    assert seen["certain wrong"] == 0
    assert seen["identity_certain wrong who"] == 0


@pytest.mark.parametrize("name", ["5 % missing", "mixed, 5 % missing"])
def test_change_whose_request_is_missing_is_not_pinned_on_another(name):
    seen = _scenario(name, 4_000, 77)
    assert seen["gone"] > 50
    assert seen["unexplained"] >= 0.95 * seen["gone"]


def test_mixed_scenario_finds_request_and_principal():
    seen = _scenario("mixed", 40_000, 77)
    assert seen["right"] >= 0.995 * seen["logged"]
    assert seen["who"] >= 0.999 * seen["logged"]
