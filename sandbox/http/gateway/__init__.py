"""The HTTP gateway: canisters serve web pages. HTTP gateway protocol specification; where it leaves things open, as
`dfinity/http-gateway` (`ic-http-gateway-protocol`) does them, and PocketIC's gateway (`rs/pocket_ic_server`).

    http://<id>.localhost:PORT/         http://<name>.localhost:PORT/         http://127.0.0.1:PORT/?canisterId=<id>
    http://<id>.raw.localhost:PORT/     the same without verification of responses

From an address (`address`) to a canister, from the request to Candid and back (`messages`), the rest of a long body
(`body`), what proves a response (`verification/`), pages of our own for what goes wrong (`pages`). `gateway` puts them
together; it knows no socket.
"""
