"""Scenarios: files with the steps to perform on canisters and the expected results.

`load` reads a file completely, with every file it names, and refuses it before anything runs; `Run` carries out the
loaded cases. Steps and expectations are rows of two tables (`step_kinds`, `expectation_kinds`): reading, running, the
JSON Schema and the documentation derive from them.
"""

from sandbox.proofs.scenario.loader import Choices, Scenario, load
from sandbox.proofs.scenario.runner import Run, RunOptions
from sandbox.proofs.scenario.source import ScenarioError

__all__ = ["Choices", "Run", "RunOptions", "Scenario", "ScenarioError", "load"]
