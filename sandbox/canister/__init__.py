"""One canister as a function: run an entry point, install, upgrade, and say what came of it."""
