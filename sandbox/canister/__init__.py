"""One canister as a function: run an entry point, install, upgrade, and return the outcome."""
