"""The platform's HTTP interface over one sandbox: interface specification 0.66, "HTTPS interface".

From bytes to a checked request (`request`, `authentication`, `signature`), from there to the sandbox and back to bytes
(`replica`, `routes`): none of these knows a socket. `gateway/` serves the pages of canisters, `maintenance/` keeps
notices for their users. `worker` has the one thread that uses the sandbox, `server` is the ASGI application; both need
the extra `canister-sandbox[serve]`.
"""
