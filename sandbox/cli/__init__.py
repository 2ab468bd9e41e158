"""The command line `canister-sandbox`: thin; every rule lives in a floor below.

Exit codes: 0 done; 1 the check failed or the canister rejected; 2 misuse, or a state that cannot be used.
"""

from sandbox.cli.root import root as main

__all__ = ["main"]
