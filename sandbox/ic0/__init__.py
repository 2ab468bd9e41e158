"""Module `ic0`: the system API of canisters. One table of functions, one file for each heading of the spec.

`table` has the rows, `state` the input and effects of one execution, `stable` the stable memory API as WebAssembly,
`error_help` the replica's help texts and backtraces. Nothing here changes any state but that of the execution at hand.
"""
