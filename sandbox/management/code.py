"""`install_code`: install, reinstall, upgrade (SPECIFICATION 5.2, 5.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.canister.failure import Failure
from sandbox.canister.install import Deployed, Deployment, install, upgrade
from sandbox.canister.module import CompiledModule, compile_module
from sandbox.errors import CallRejected, InvalidModule
from sandbox.ic0.modes import Mode
from sandbox.ic0.state import Environment
from sandbox.limits import COMPILATION
from sandbox.management import rejects
from sandbox.management.transition import ManagementContext, Transition, history
from sandbox.principal import Principal
from sandbox.state import CanisterState, WasmModule
from sandbox.wasm import decode_module


@dataclass(frozen=True, slots=True)
class InstallCode:
    """The argument of `install_code`. `mode`: install, reinstall or upgrade; `persistence`: None, keep or replace."""

    canister_id: Principal
    module: bytes
    arg: bytes = b""
    mode: str = "install"
    skip_pre_upgrade: bool = False
    persistence: str | None = None


def install_code(context: ManagementContext, argument: InstallCode) -> Transition:
    """Install code; if a hook traps, nothing changes and the transition has the failure."""
    state = context.controlled(argument.canister_id)
    if argument.mode == "install" and state.code is not None:
        raise rejects.not_empty(state.id)
    if argument.mode == "upgrade" and state.code is None:
        raise rejects.no_module(state.id)
    code = WasmModule.from_bytes(argument.module)
    try:
        module = prepared(state, code)
    except CallRejected as refused:
        return _refused(context, state, code, refused)
    check_afforded(context, state, module)
    plan = replace(deployment(context, state, argument, module), compilation=module.compile_cost)
    if argument.mode == "upgrade":
        deployed = upgrade(context.subnet.pool, context.instances, state, plan)
    else:
        deployed = install(context.subnet.pool, plan)
    return outcome(context, state, argument, module.code, deployed)


def _refused(context: ManagementContext, state: CanisterState, code: WasmModule, refused: CallRejected) -> Transition:
    """The transition to a canister that has paid for the compilation of a module that was refused: it counts for each
    byte of the decoded module. Bytes that cannot be decoded cost nothing."""
    try:
        compilation = COMPILATION * len(decode_module(code.submitted))
    except InvalidModule:
        raise refused from None
    fee = context.fees.execution(compilation, False)
    if not fee:
        raise refused
    assert refused.error_code is not None
    return Transition(
        canister=replace(state, cycles=max(state.cycles - fee, 0)),
        failure=Failure(refused.error_code, refused.message, of_canister=False),
        compilation=compilation,
    )


def check_afforded(context: ManagementContext, state: CanisterState, module: CompiledModule) -> None:
    """Check that the canister can reserve the largest fee of deploying this module; else a reject."""
    short = _reserved(context, module.facts.is64) + context.fees.frozen(state) - state.cycles
    if short > 0:
        raise rejects.installation_unpaid(state.id, short)


def prepared(state: CanisterState, code: WasmModule) -> CompiledModule:
    """Compile the code for this canister; a reject (IC0505) with the rule that it breaks."""
    try:
        return compile_module(code)
    except InvalidModule as error:
        raise rejects.invalid_module(state.id, str(error)) from error


def deployment(
    context: ManagementContext, state: CanisterState, argument: InstallCode, prepared: CompiledModule
) -> Deployment:
    """The deployment of a module into the canister, with the limits and the log of this subnet."""
    subnet, on_log = context.subnet, context.on_log
    return Deployment(
        prepared=prepared,
        arg=argument.arg,
        environment=environment(context, state, state.version + 1, wasm64=prepared.facts.is64),
        instructions=subnet.instruction_limits.install,
        heap_limit=state.settings.wasm_memory_limit,
        skip_pre_upgrade=argument.skip_pre_upgrade,
        persistence=argument.persistence,
        old_version=state.version,
        old_timer=state.global_timer,
        on_log=None if on_log is None else lambda text: on_log(state.id, text),
        message_instructions=subnet.instruction_limits.update,
        profiler=context.instances.profiler,
    )


def _reserved(context: ManagementContext, wasm64: bool) -> int:
    """Upper bound of the fee, reserved before an installation; only what is used is charged."""
    return context.fees.execution(context.subnet.instruction_limits.install, wasm64)


def environment(
    context: ManagementContext, state: CanisterState, version: int, global_timer: int = 0, *, wasm64: bool
) -> Environment:
    """The environment of the canister's hooks, with this version and timer."""
    return Environment(
        canister_id=state.id,
        caller=context.caller,
        time=context.subnet.time,
        subnet_id=context.subnet.key.subnet_id,
        root_key=context.subnet.key.public_key,
        controllers=frozenset(state.settings.controllers),
        status=state.status.value,
        version=version,
        global_timer=global_timer,
        environment_variables=state.settings.environment_variables,
        cycles=max(state.cycles - _reserved(context, wasm64), 0),
        frozen_cycles=context.fees.frozen(state),
        fee_functions=context.fees.fee_functions(context.subnet.instruction_limits.update, wasm64),
    )


def outcome(
    context: ManagementContext, state: CanisterState, argument: InstallCode, code: WasmModule, deployed: Deployed
) -> Transition:
    """The deployment as a transition: the canister's new value, or the failure and `state`; what was executed and what
    compiling counts for are charged in any case."""
    fee = context.fees.execution(deployed.instructions + deployed.compilation, compile_module(code).facts.is64)
    state = replace(state, cycles=max(state.cycles - fee, 0)) if fee else state
    ran = Transition(
        canister=state,
        executions=deployed.executions,
        instructions=deployed.instructions,
        measures=deployed.measures,
        compilation=deployed.compilation,
    )
    if deployed.live is None:
        return replace(ran, failure=deployed.failure)
    return replace(ran, canister=_new_state(context, state, argument, code, deployed), live=deployed.live)


def _new_state(
    context: ManagementContext, state: CanisterState, argument: InstallCode, code: WasmModule, deployed: Deployed
) -> CanisterState:
    assert deployed.live is not None
    version, now = state.version + 1, context.subnet.time
    change = context.change(version, "code_deployment", mode=argument.mode, module_hash=code.hash)
    certified, timer = (state.certified_data if argument.mode == "upgrade" else b""), 0
    for execution in deployed.executions:
        certified = execution.certified_data if execution.certified_data is not None else certified
        if execution.mode is not Mode.PRE_UPGRADE and execution.global_timer is not None:
            timer = execution.global_timer
    return replace(
        state,
        code=code,
        heap=deployed.live.heap.memory,
        stable=deployed.live.stable.memory,
        certified_data=certified,
        global_timer=timer,
        cycles=state.cycles - sum(execution.burned for execution in deployed.executions),
        version=version,
        logs=state.logs if argument.mode == "upgrade" else (),
        history=history(state, change),
        total_changes=state.total_changes + 1,
        last_installed_at=now,
    )
