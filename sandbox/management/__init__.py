"""The management canister `aaaaa-aa`: one function per method, each from the present state to a transition."""
