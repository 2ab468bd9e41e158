"""Claims about requests to a served state, all to one server."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPConnection

import cbor2

from tests.http.conftest import Place


def test_the_root_key_is_that_of_the_state(place: Place) -> None:
    status, answer = place.server.request("GET", "/api/v2/status")
    assert (status, cbor2.loads(answer)["root_key"]) == (200, place.root_key)


def test_many_clients_at_a_time_are_each_answered(place: Place) -> None:
    answers: list[tuple[int, object]] = []
    before = place.count()

    def client() -> None:
        for _ in range(10):
            answers.append(place.server.ask("call", place.counter, "inc"))
            answers.append(place.server.ask("query", place.counter, "get"))

    clients = [threading.Thread(target=client) for _ in range(10)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert [status for status, _ in answers] == [200] * 200
    assert place.count() == before + 100


def test_a_body_beyond_five_mebibytes_is_refused(place: Place) -> None:
    status, text = place.server.request("POST", "/api/v4/canister/aaaaa-aa/call", bytes((5 << 20) + 1))
    assert (status, b"5242880" in text) == (413, True)
    assert place.server.request("GET", "/api/v2/status")[0] == 200


def test_pages_of_any_origin_may_ask(place: Place) -> None:
    connection = HTTPConnection("127.0.0.1", place.server.port, timeout=60)
    connection.request("GET", "/api/v2/status", headers={"Origin": "http://example.org"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_requests_that_are_no_http_do_not_end_the_server(place: Place) -> None:
    for sent in (b"\x00\xff\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", b"GET /api"):
        with socket.create_connection(("127.0.0.1", place.server.port), timeout=10) as raw:
            raw.sendall(sent)
    assert place.server.request("GET", "/api/v2/status")[0] == 200
