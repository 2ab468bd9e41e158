"""Running loaded scenarios: each case in a sandbox of its own, step by step, into a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from sandbox.engine import counting
from sandbox.errors import CallRejected, CandidError, SandboxError
from sandbox.execution import CallResult
from sandbox.principal import Principal
from sandbox.proofs.report.model import Answer, CaseReport, Failure, Report, ScenarioReport, StepReport
from sandbox.proofs.scenario import baseline as baselines
from sandbox.proofs.scenario.baseline import Baseline, Entry, Hashes
from sandbox.proofs.scenario.canisters import create
from sandbox.proofs.scenario.expectation_kinds import reply_values
from sandbox.proofs.scenario.loader import Case, Scenario
from sandbox.proofs.scenario.planner import Step
from sandbox.proofs.scenario.stage import Stage
from sandbox.snapshots.inspect import PageMap, page_map


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`update`: write baselines instead of comparing; `pictures`: classify the pages of memories at the end of cases;
    `only`: run the cases in whose `FILE [CASE]` this text occurs."""

    update: bool = False
    pictures: bool = False
    only: str = ""


@dataclass
class Progress:
    """The progress of a run; may be read by another thread."""

    cases: int = 0
    case: int = 0
    title: str = ""
    step: str = ""
    steps: int = 0


class Run:
    """A run of scenarios; its report is available at any time, also from another thread."""

    def __init__(self, scenarios: Sequence[Scenario], options: RunOptions | None = None) -> None:
        self._options = options or RunOptions()
        self._work = [(scenario, self._chosen(scenario)) for scenario in scenarios]
        self._baselines = {scenario.path: baselines.read(scenario.baseline_path) for scenario in scenarios}
        self.progress = Progress(cases=sum(len(cases) for _, cases in self._work))
        self._reports: list[ScenarioReport] = []
        self._present: tuple[int, Scenario, list[CaseReport]] | None = None
        self._case: tuple[int, Case, list[StepReport]] | None = None
        """The scenario and the case that are being run, each with the number of those done before it."""

    def _chosen(self, scenario: Scenario) -> list[Case]:
        return [case for case in scenario.cases if self._options.only in f"{scenario.path} [{case.name}]"]

    def run(self) -> Report:
        """Run everything and return the report."""
        for scenario, cases in self._work:
            if cases:
                self._reports.append(self._scenario(scenario, cases))
        return self.report()

    def report(self, *, interrupted: bool = False) -> Report:
        """Return the report so far; `interrupted`: the present case is not run to its end."""
        reports = list(self._reports)
        present, case = self._present, self._case
        if present is not None and present[0] == len(reports):
            _, scenario, done = present
            cases = list(done)
            if case is not None and case[0] == len(cases):
                cases.append(_unfinished(*case[1:]))
            reports.append(ScenarioReport(str(scenario.path), scenario.title, tuple(cases)))
        return Report(tuple(reports), interrupted)

    def _scenario(self, scenario: Scenario, cases: Sequence[Case]) -> ScenarioReport:
        done: list[CaseReport] = []
        self._present = (len(self._reports), scenario, done)
        baseline = self._baselines[scenario.path]
        keeper = _Keeper(scenario, None if self._options.update else baseline, self._options.update)
        for case in cases:
            self.progress.case += 1
            self.progress.title = f"{scenario.path.name}{f' [{case.name}]' if case.name else ''}"
            steps: list[StepReport] = []
            self._case = (len(done), case, steps)
            done.append(self._run_case(case, steps, keeper))
        report = ScenarioReport(str(scenario.path), scenario.title, tuple(done), keeper.notes)
        if not self._options.update:
            return report
        return replace(report, notes=(_updated(scenario, report, keeper, baseline),))

    def _run_case(self, case: Case, steps: list[StepReport], keeper: _Keeper) -> CaseReport:
        begun = perf_counter()
        stage = Stage(case.rules)
        keeper.begin(case)
        try:
            try:
                for canister in case.canisters.values():
                    create(stage, canister)
            except (SandboxError, OSError) as error:
                failure = Failure("start", "canisters with what they hold at first", str(error))
                return CaseReport(case.name, case.rules.seed, _not_run(case.steps), (failure,))
            self._steps(case, stage, steps, keeper)
            maps = dict(_maps(stage)) if self._options.pictures else {}
        finally:
            stage.close()
        taken = perf_counter() - begun
        return CaseReport(case.name, case.rules.seed, tuple(steps), keeper.end(), (), maps, taken)

    def _steps(self, case: Case, stage: Stage, done: list[StepReport], keeper: _Keeper) -> None:
        for number, step in enumerate(case.steps):
            self.progress.step, self.progress.steps = step.title, self.progress.steps + 1
            result = run_step(stage, step)
            done.append(keeper.step(result, step, stage))
            if _stops(done[-1]):
                done.extend(_not_run(case.steps[number + 1 :]))
                return


def _unfinished(case: Case, done: list[StepReport]) -> CaseReport:
    steps = list(done)
    return CaseReport(case.name, case.rules.seed, (*steps, *_not_run(case.steps[len(steps) :])))


def _not_run(steps: Iterable[Step]) -> tuple[StepReport, ...]:
    return tuple(StepReport(step.title, str(step.place), "not run") for step in steps)


def _stops(step: StepReport) -> bool:
    """Return whether later steps are meaningless, because this one did not have its intended outcome."""
    return any(failure.what in _STOPPING for failure in step.failures)


_STOPPING = ("outcome", "round")


def _maps(stage: Stage) -> Iterator[tuple[str, PageMap]]:
    present = stage.runtime.subnet.canisters
    for name, canister in stage.canisters.items():
        if canister.id in present:
            state = present[canister.id]
            for part, memory in (("heap", state.heap), ("stable memory", state.stable)):
                if memory.size:
                    yield f"{name}: {part}", page_map(memory.image())


# --- one step


def run_step(stage: Stage, step: Step) -> StepReport:
    """Carry out a step and return its report."""
    begun = perf_counter()
    if step.rounds:
        report = _repeated(stage, step)
    else:
        result, failures = execute(stage, step)
        report = StepReport(
            step.title,
            str(step.place),
            "failed" if failures else "held",
            tuple(failures),
            instructions=result.instructions,
            answer=_answer(step, result),
            reject=result.reject,
            logs=tuple(stage.logs),
            backtrace=result.backtrace,
        )
    pages = {name: (size.heap, size.stable) for name, size in stage.sizes().items()}
    return replace(report, pages=pages, seconds=perf_counter() - begun)


def _answer(step: Step, result: CallResult) -> Answer | None:
    return Answer(result.reply, step.results) if step.replies and result.reply is not None else None


def execute(stage: Stage, step: Step) -> tuple[CallResult, list[Failure]]:
    """Carry out a step that is no repetition; return its outcome and its failures."""
    stage.logs.clear()
    try:
        result = step.action(stage)
    except CallRejected as error:
        result = error.result or CallResult(Principal.management(), "")
        result = replace(result, reply=None, reject=error.reject)
    except SandboxError as error:
        return CallResult(Principal.management(), ""), [
            Failure("outcome", "an answer", str(error), place=str(step.place))
        ]
    failures = []
    if step.keep is not None and result.reply is not None:
        try:
            stage.kept[step.keep] = reply_values(step.results, result.reply)
        except CandidError as error:
            failures.append(Failure("outcome", "a reply that can be kept", str(error), place=str(step.place)))
    if result.reject is not None and not step.rejects:
        failures.append(Failure("outcome", "no reject", str(CallRejected(result.reject)), place=str(step.place)))
    return result, [*failures, *_unmet(stage, step, result)]


def _unmet(stage: Stage, step: Step, result: CallResult) -> Iterator[Failure]:
    """Yield the expectations of a step that its outcome does not meet."""
    for expectation in step.expectations:
        for difference in expectation.check(stage, result):
            yield Failure(
                expectation.name, difference.expected, difference.came, difference.path, str(expectation.place)
            )


@dataclass
class _Tally:
    """The results of one step of a repetition over all rounds."""

    step: Step
    counts: list[int] = field(default_factory=list)
    last: CallResult | None = None
    failures: list[Failure] = field(default_factory=list)
    nested: list[StepReport] = field(default_factory=list)

    def report(self) -> StepReport:
        last = self.last
        return StepReport(
            self.step.title,
            str(self.step.place),
            "failed" if self.failures else "held" if self.counts else "not run",
            tuple(self.failures),
            times=len(self.counts),
            instructions=sum(self.counts),
            series=tuple(self.counts),
            answer=None if last is None else _answer(self.step, last),
            reject=None if last is None else last.reject,
            backtrace=() if last is None else last.backtrace,
            steps=self.nested[-1].steps if self.nested else (),
        )


def _repeated(stage: Stage, step: Step) -> StepReport:
    """Carry out the rounds of a repetition up to the first with a failure."""
    tallies = [_Tally(each) for each in step.rounds[0]]
    failures: tuple[Failure, ...] = ()
    for number, body in enumerate(step.rounds):
        for tally, each in zip(tallies, body, strict=True):
            if each.rounds:
                inner = _repeated(stage, each)
                tally.nested.append(inner)
                tally.counts.append(inner.instructions)
                unmet = list(inner.failures)
            else:
                tally.last, unmet = execute(stage, each)
                tally.counts.append(tally.last.instructions)
            if unmet:
                tally.step = each
                tally.failures = unmet
                failures = (Failure("round", f"{len(step.rounds):,} rounds as expected", _failed(number, each, unmet)),)
                break
        if failures:
            break
    steps = tuple(tally.report() for tally in tallies)
    count = sum(each.instructions for each in steps)
    if not failures:
        failures = tuple(_unmet(stage, step, replace(stage.done(), instructions=count)))
    return StepReport(
        step.title,
        str(step.place),
        "failed" if failures else "held",
        failures,
        instructions=count,
        steps=steps,
    )


def _failed(number: int, step: Step, unmet: Sequence[Failure]) -> str:
    return f"round {number} (from 0), {step.title}: {unmet[0]}"


# --- baselines


class _Keeper:
    """The recorder of the entries of each case's steps, which compares them with the baseline."""

    def __init__(self, scenario: Scenario, baseline: Baseline | None, update: bool) -> None:
        self._scenario = scenario
        self._baseline = baseline
        self._wanted = update or baseline is not None
        self._hashes: Hashes = {}
        self._expected: list[Entry] | None = None
        self.made: dict[str, list[Entry]] = {}
        self._entries: list[Entry] = []
        self._others: list[Failure] = []
        self.notes: tuple[str, ...] = () if baseline is None else baseline.notes()

    def begin(self, case: Case) -> None:
        """Begin with the first step of a case."""
        self._hashes, self._others = {}, []
        self._entries = self.made[case.name or baselines.ONLY] = []
        self._expected = None if self._baseline is None else self._baseline.cases.get(case.name or baselines.ONLY)
        if self._baseline is not None and self._expected is None:
            self.notes = (*self.notes, f"the baseline has no case {case.name!r}; --update adds it")

    def step(self, report: StepReport, step: Step, stage: Stage) -> StepReport:
        """Record the entry of a step; return its report with the differences from the baseline."""
        if not self._wanted:
            return report
        before, parts = self._hashes, self._scenario.baseline
        self._hashes = baselines.hashes(stage) if "state" in parts else {}
        now = baselines.entry(report, parts, before, self._hashes)
        self._entries.append(now)
        if self._baseline is None or self._expected is None:
            return report
        place = len(self._entries) - 1
        accepted = self._expected[place] if place < len(self._expected) else {}
        if accepted.get("step") != now["step"]:
            expected = accepted.get("step", "no more steps")
            self._others = [Failure(f"baseline step {place + 1}", str(expected), now["step"])]
            self._expected = None
            return report
        tolerance = self._scenario.tolerance if step.tolerance is None else step.tolerance
        failures = tuple(baselines.compared(accepted, now, tolerance, self._baseline))
        remark = baselines.improved(accepted, now, tolerance, self._baseline)
        return replace(
            report,
            status="failed" if failures else report.status,
            failures=(*report.failures, *failures),
            notes=(*report.notes, remark) if remark else report.notes,
        )

    def end(self) -> tuple[Failure, ...]:
        """Return the differences from the baseline that concern the whole case."""
        if self._expected is not None and len(self._expected) > len(self._entries):
            expected = str(self._expected[len(self._entries)].get("step"))
            self._others.append(Failure(f"baseline step {len(self._entries) + 1}", expected, "no more steps"))
        return tuple(self._others)


def _updated(scenario: Scenario, report: ScenarioReport, keeper: _Keeper, baseline: Baseline | None) -> str:
    """Write the baseline of a scenario, and return a remark on it. Cases that were not run stay, unless counts or
    hashes are made in another way."""
    path = scenario.baseline_path
    if report.status != "held":
        return f"{path} was not written: something failed"
    made = Baseline.empty()
    if baseline is not None and (baseline.counted_by, baseline.hashed_by) == (counting(), baselines.hashing()):
        known = {case.name or baselines.ONLY for case in scenario.cases}
        made.cases = {name: steps for name, steps in baseline.cases.items() if name in known}
    made.cases |= keeper.made
    try:
        baselines.write(path, made)
    except OSError as error:
        return f"{path} was not written: {error}"
    return f"{path} was written"
