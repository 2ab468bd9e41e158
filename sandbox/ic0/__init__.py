"""Module `ic0`: what a canister may ask of the system. One table of functions, one file for each heading of the spec.

`table` has the rows, `state` what one execution knows and has done, `stable` the stable memory API as WebAssembly,
`help` the replica's help texts and backtraces. Nothing here changes any state but that of the execution at hand.
"""
