"""Every number of the platform, once. Sizes in bytes unless the name says otherwise.

Sources: interface specification 0.66, "resource limits" of the developer documentation, `dfinity/ic`
(`rs/embedders`, `rs/config`); section numbers are those of `sandbox/SPECIFICATION.md`.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
WASM_PAGE: Final = 65_536

# Modules (2.4)
MODULE_SIZE: Final = 100 * MIB
CODE_SECTION_SIZE: Final = 12 * MIB
DEFINED_FUNCTIONS: Final = 50_000
GLOBALS: Final = 1_000
CUSTOM_SECTIONS: Final = 16
CUSTOM_SECTIONS_SIZE: Final = MIB
EXPORTED_METHODS: Final = 1_000
EXPORTED_METHOD_NAMES_SIZE: Final = 20_000
FUNCTION_SIZE: Final = 1_000_000  # instructions in one body
FUNCTION_COMPLEXITY: Final = 1_000_000
FUNCTION_NAME_SIZE: Final = MIB
TABLES: Final = 1
TABLE_ELEMENTS: Final = 1_000_000

# Memories (7)
WASM32_MEMORY: Final = 4 * GIB
WASM64_MEMORY: Final = 6 * GIB
STABLE_MEMORY: Final = 500 * GIB
STABLE_PAGES: Final = STABLE_MEMORY // WASM_PAGE

# Instructions (7)
INSTRUCTIONS_UPDATE: Final = 40_000_000_000
INSTRUCTIONS_QUERY: Final = 5_000_000_000
INSTRUCTIONS_INSTALL: Final = 300_000_000_000
INSTRUCTIONS_INSPECT: Final = 200_000_000
COMPILATION: Final = 6_000  # for each instruction of a module, when it is compiled
MESSAGES_ALONE: Final = 1_000  # of one call in `canister.self_calls`; ours
INSTRUCTIONS_PER_QUERY_CALL: Final = 50_000_000
INSTRUCTIONS_ROUND: Final = 7_000_000_000
INSTRUCTIONS_EXECUTION: Final = 2_000_000
"""Added to the instructions of each execution of a round (`INSTRUCTION_OVERHEAD_PER_EXECUTION` in `dfinity/ic`
`rs/config/src/subnet_config.rs`)."""
ROUNDS: Final = 300
"""Rounds for which a caller waits by default: at about one a second, the five minutes for which the platform keeps a
user's message and its clients poll."""

# Stable bytes read or written by one message (7)
STABLE_ACCESS_MESSAGE: Final = 2 * GIB
STABLE_ACCESS_UPGRADE: Final = 8 * GIB
STABLE_ACCESS_QUERY: Final = GIB

# Messages (7)
INGRESS_PAYLOAD: Final = 2 * MIB
QUERY_REQUEST: Final = 4 * MIB
INTER_CANISTER_PAYLOAD: Final = 10 * MIB
REQUEST_BODY: Final = 5 * MIB
"""Bytes of the body of an HTTP request (`max_request_receive_size_bytes` in `dfinity/ic`
`rs/config/src/http_handler.rs`)."""
REQUEST_DELEGATIONS: Final = 20
REQUEST_TARGETS: Final = 1_000
READ_STATE_PATHS: Final = 1_000
READ_STATE_LABELS: Final = 127
REPLY_REPLICATED: Final = 2 * MIB
REPLY_QUERY: Final = 3 * MIB
METHOD_NAME: Final = 20_000
INGRESS_HISTORY: Final = 600_000
"""Users' calls whose status is kept (`INGRESS_HISTORY_MAX_MESSAGES` in `dfinity/ic` `rs/limits`): twice a
thousand a second for five minutes."""
CALLS_TO_ONE: Final = 500  # open calls of one canister to one canister
CALLS_OPEN: Final = 1_000_000
"""Open calls of all canisters; beyond it each canister has `CALLS_GUARANTEED` (`SUBNET_CALLBACK_SOFT_LIMIT` and
`CANISTER_GUARANTEED_CALLBACK_QUOTA` in `dfinity/ic` `rs/config/src/execution_environment.rs`)."""
CALLS_GUARANTEED: Final = 50
COMPOSITE_DEPTH: Final = 6
CERTIFIED_DATA: Final = 32
ERROR_DESCRIPTION: Final = 8 * KIB
DEBUG_PRINT: Final = 32 * KIB
PRINTED_KEPT: Final = 4 * MIB  # of the prints of one execution; the oldest are dropped first
CALLS_SIZE: Final = 128 * MIB  # of the calls that one execution makes; our own limit
LOG_SIZE: Final = 4 * KIB  # by default, and at least this where it is not 0
LOG_SIZE_BOUND: Final = 2 * MIB

# Settings (5.6)
CONTROLLERS: Final = 10
VIEWERS: Final = 10
ENVIRONMENT_VARIABLES: Final = 20
ENVIRONMENT_VARIABLE_SIZE: Final = 128
WASM_MEMORY_LIMIT_BOUND: Final = 1 << 48
WASM_MEMORY_LIMIT_DEFAULT: Final = 3 * GIB  # of new canisters
FREEZING_THRESHOLD_DEFAULT: Final = 2_592_000
RESERVED_CYCLES_LIMIT_DEFAULT: Final = 5_000_000_000_000
CYCLES: Final = (1 << 128) - 1
"""The largest balance; cycles beyond it are lost."""
PROVISIONAL_BALANCE: Final = 100_000_000_000_000
HISTORY: Final = 20
STOP_TIMEOUT_SECONDS: Final = 300

# Chunks and snapshots (5.7, 6)
CHUNK_SIZE: Final = MIB
CHUNKS: Final = 100
SNAPSHOTS: Final = 10
SNAPSHOT_SLICE: Final = 2_000_000
SNAPSHOT_BASE: Final = 2_000_000_000  # instructions that count for taking, uploading or loading one
SNAPSHOT_SLICE_BASE: Final = 5_000_000  # and for reading a slice
SNAPSHOT_ID: Final = 8  # bytes of a snapshot's number, before the canister's id

# Signatures and outcalls (interface specification)
DERIVATION_PATH: Final = 255
OUTCALL_SIZE: Final = 2_000_000
OUTCALL_URL: Final = 8_192
OUTCALL_HEADERS: Final = 64
OUTCALL_HEADER_SIZE: Final = 8 * KIB
OUTCALL_HEADERS_SIZE: Final = 48 * KIB
