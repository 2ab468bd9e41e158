"""Methods that the platform's management canister has and this sandbox refuses by name, with the reason.

Interface specification 0.66, "The IC management canister"; `list_canisters` and `canister_metrics` are queries too.
"""

from __future__ import annotations

from typing import Final

_BITCOIN = "there is no Bitcoin network here; call a Bitcoin canister of your own"
_NODES = "there are no nodes here that have metrics"
_METRICS = "cycles are not counted by what they were spent for"

UNSUPPORTED: Final[dict[str, str]] = {
    "bitcoin_get_balance": _BITCOIN,
    "bitcoin_get_utxos": _BITCOIN,
    "bitcoin_send_transaction": _BITCOIN,
    "bitcoin_get_current_fee_percentiles": _BITCOIN,
    "bitcoin_get_block_headers": _BITCOIN,
    "node_metrics_history": _NODES,
    "subnet_metrics": _NODES,
    "canister_metrics": _METRICS,
    "list_canisters": "there are no subnet admins here, and only they may call it",
}

NOT_INGRESS: Final = frozenset(UNSUPPORTED) - {"canister_metrics"}
"""Of these, the ones that users could not call by ingress on the platform either."""
