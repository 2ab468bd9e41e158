"""The report of scenarios for programs: JSON, with everything whole, and JUnit XML, as CI systems read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from sandbox.errors import Reject
from sandbox.proofs.report.model import CaseReport, Failure, Report, ScenarioReport, StepReport

_LONGEST = 400
"""Characters of an attribute."""
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot hold."""


def json_report(report: Report) -> dict[str, Any]:
    """Return the report as JSON values; replies as Candid text and as hexadecimal, uncut."""
    return {
        "held": report.held,
        "interrupted": report.interrupted,
        "scenarios": [_scenario(scenario) for scenario in report.scenarios],
    }


def _scenario(scenario: ScenarioReport) -> dict[str, Any]:
    return {
        "file": scenario.path,
        "scenario": scenario.title,
        "status": scenario.status,
        "notes": list(scenario.notes),
        "cases": [_case(case) for case in scenario.cases],
    }


def _case(case: CaseReport) -> dict[str, Any]:
    return {
        "case": case.name,
        "seed": case.seed,
        "status": case.status,
        "seconds": round(case.seconds, 6),
        "instructions": case.instructions,
        "failures": [_failure(failure) for failure in case.failures],
        "notes": list(case.notes),
        "steps": [_step(step) for step in case.steps],
    }


def _step(step: StepReport) -> dict[str, Any]:
    return {
        "step": step.title,
        "place": step.place,
        "status": step.status,
        "times": step.times,
        "seconds": round(step.seconds, 6),
        "instructions": step.instructions,
        "instructions_of_rounds": list(step.series),
        "pages": {name: {"heap": heap, "stable": stable} for name, (heap, stable) in step.pages.items()},
        "reply": None if step.answer is None else step.answer.text,
        "reply_hex": None if step.answer is None else step.answer.reply.hex(),
        "reject": None if step.reject is None else _reject(step.reject),
        "logs": list(step.logs),
        "backtrace": list(step.backtrace),
        "failures": [_failure(failure) for failure in step.failures],
        "notes": list(step.notes),
        "steps": [_step(each) for each in step.steps],
    }


def _reject(reject: Reject) -> dict[str, Any]:
    error = None if reject.error_code is None else str(reject.error_code)
    return {"code": int(reject.reject_code), "name": reject.reject_code.name, "error": error, "text": reject.message}


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "what": failure.what,
        "path": failure.path,
        "expected": failure.expected,
        "got": failure.came,
        "place": failure.place,
    }


def junit_report(report: Report) -> str:
    """Return the report as JUnit XML: a suite for each file, a test case for each case."""
    root = ET.Element("testsuites", name="canister-sandbox verify")
    for scenario in report.scenarios:
        cases = scenario.cases
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_text(scenario.path),
            tests=str(len(cases)),
            failures=str(sum(case.status == "failed" for case in cases)),
            errors="0",
            skipped=str(sum(case.status == "not run" for case in cases)),
            time=_seconds(sum(case.seconds for case in cases)),
        )
        for case in cases:
            _test_case(suite, scenario, case)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _test_case(suite: ET.Element, scenario: ScenarioReport, case: CaseReport) -> None:
    name = scenario.title if not case.name else f"{scenario.title} [{case.name}]"
    test = ET.SubElement(
        suite, "testcase", classname=_text(scenario.path), name=_text(name), time=_seconds(case.seconds)
    )
    if case.status == "not run":
        ET.SubElement(test, "skipped", message="interrupted")
    failures = list(case.all_failures())
    if failures:
        first = failures[0][1]
        failure = ET.SubElement(test, "failure", type=_text(first.what), message=_text(_line(first)))
        failure.text = _text("\n".join(_lines(failures)))


def _line(failure: Failure) -> str:
    """Return a failure on one line, cut; the text of the element is uncut."""
    text = str(failure)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _lines(failures: list[tuple[StepReport | None, Failure]]) -> Iterator[str]:
    for step, failure in failures:
        place = failure.place or ("" if step is None else step.place)
        yield f"{place} {'' if step is None else step.title}".strip()
        yield f"  {failure}"
        if step is not None:
            yield from (f"  log: {line}" for line in step.logs)
            yield from (f"  backtrace: {line}" for line in step.backtrace)


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
