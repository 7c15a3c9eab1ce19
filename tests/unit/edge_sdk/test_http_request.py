"""Heads of requests, doors and keys: what the posting source decides before and after it reads."""

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_sdk.posting.door import Door
from edge_sdk.posting.request import Head, Refused, reply
from edge_sdk.posting.seen import KEYS_PER_DEVICE, Seen

DOOR = Door.build("127.0.0.1:0/plant/readings", "", "", "", "")
TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABC!#$%&'*+-.^_`|~0123456789", min_size=1, max_size=20)


@given(st.binary(max_size=300))
@example(b"POST /%C3 HTTP/1.1")
@example(b"POST //// HTTP/1.1")
@example(b"POST http:// HTTP/1.1")
@example(b"POST * HTTP/1.1\r\n:")
@example(b"POST / HTTP/1.1\r\nContent-Length: \xb2")
@example("POST / HTTP/1.1\r\nContent-Length: ٣".encode())
def test_any_bytes_are_a_head_or_refused(data):
    with contextlib.suppress(Refused):
        head = Head.parse(data)
        assert head.length is None or 0 <= head.length < 10**15
        with contextlib.suppress(Refused):
            DOOR.admit(head)


@given(
    TOKEN,
    st.lists(st.text(max_size=10), max_size=4),
    st.dictionaries(TOKEN, st.text('abc xyz,;="ü\t', max_size=20), max_size=5),
    st.booleans(),
)
def test_what_is_written_is_read(method, path, headers, close):
    headers = {name.lower(): value.strip() for name, value in headers.items()}
    for own in ("content-length", "connection", "expect", "transfer-encoding"):
        headers.pop(own, None)
    lines = [f"{method} /{'/'.join(quote(part, safe='') for part in path)}?q=1 HTTP/1.1", "Content-Length: 7"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["Connection: close"] if close else []
    head = Head.parse("\r\n".join(lines).encode("latin-1"))
    assert (head.method, head.length, head.keep_alive) == (method, 7, not close)
    assert head.path == (tuple(path) or ("",))
    assert {name: head.headers[name] for name in headers} == headers


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/plant/readings/w1", "w1"),
        ("/plant/readings", ""),
        ("/plant/readings/", ""),
        ("/plant/readings/a%2Fb", "a/b"),
        ("/plant/readings/w1/x", None),
        ("/plant/readingsw1", None),
        ("/plant", None),
        ("/", None),
        ("/plant/readings/../../w1", None),
    ],
)
def test_which_device_a_path_names(path, device):
    head = Head.parse(f"POST {path} HTTP/1.1".encode())
    if device is None:
        with pytest.raises(Refused, match=r"404 expected /plant/readings/DEVICE"):
            DOOR.admit(head)
    else:
        DOOR.admit(head)
        assert DOOR.device_of(head) == device


def test_a_door_without_a_path_takes_devices_at_the_root():
    door = Door.build("", "", "", "", "")
    assert (door.host, door.port) == ("127.0.0.1", 8080)
    for path, device in (("/", ""), ("/w1", "w1")):
        head = Head.parse(f"POST {path} HTTP/1.1".encode())
        door.admit(head)
        assert door.device_of(head) == device


def test_http_1_0_closes_unless_it_says_otherwise():
    assert not Head.parse(b"POST / HTTP/1.0").keep_alive
    assert Head.parse(b"POST / HTTP/1.0\r\nConnection: Keep-Alive").keep_alive
    assert not Head.parse(b"POST / HTTP/1.1\r\nConnection: x, CLOSE").keep_alive


def test_an_answer():
    assert reply(503, {"taken": 0}, "Retry-After: 2", close=True) == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
        b'Retry-After: 2\r\nConnection: close\r\n\r\n{"taken": 0}\n'
    )


def test_keys_are_remembered_for_a_while_and_in_bounded_memory():
    seen = Seen()
    assert ("w", "k", b"1") not in seen
    seen.add(("w", "k", b"1"))
    assert ("w", "k", b"1") in seen
    assert ("w", "k", b"2") not in seen  # the same key with another message
    assert ("v", "k", b"1") not in seen
    for i in range(KEYS_PER_DEVICE - 1):
        seen.add(("w", str(i), b"1"))
    assert ("w", "k", b"1") in seen
    seen.add(("w", "last", b"1"))
    assert ("w", "k", b"1") not in seen
    for i in range(5000):
        seen.add((f"d{i}", "k", b"1"))
    assert len(seen._devices) == 4096
    assert ("w", "last", b"1") not in seen
    assert ("d4999", "k", b"1") in seen
