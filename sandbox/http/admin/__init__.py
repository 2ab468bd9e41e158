"""The sandbox's own interface under `/_sandbox/`: what the platform does not have, as JSON.

Who may use it (`rights`), what there is (`operations`, one table), the records that go in and out (`model`), the work
itself (`canisters`, `snapshots`, `time`, `state`), the document about it (`openapi`), and the HTTP side (`web`).
"""
