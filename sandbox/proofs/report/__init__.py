"""Reports of proofs: HTML pages for every kind of proof, and the reports of scenarios.

`html`: building blocks of self-contained pages. `model`: the result of scenarios, which `terminal`, `machine` (JSON and
JUnit XML) and `scenario_page` show.
"""
