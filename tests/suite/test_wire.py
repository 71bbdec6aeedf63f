from __future__ import annotations

import json
import socket
import struct
import threading
import time
from typing import Any

import numpy as np
import pytest

from suite.wire import DTYPES, Closed, Garbled, Wire


def pair() -> tuple[Wire, Wire, socket.socket, socket.socket]:
    a, b = socket.socketpair()
    return Wire(a), Wire(b), a, b


def there_and_back(body: Any) -> Any:
    a, b, _, _ = pair()
    sender = threading.Thread(target=a.send, args=(body,))
    sender.start()
    got = b.receive()
    sender.join()
    a.close(), b.close()
    return got


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_arrays_of_every_dtype_and_shape_arrive_as_they_were(dtype: str) -> None:
    for shape in ((), (0,), (3,), (2, 0, 4), (2, 3, 4)):
        array = np.arange(int(np.prod(shape)) if shape else 1).reshape(shape).astype(dtype)
        got = there_and_back({"x": [array, {"y": array.T}]})
        np.testing.assert_array_equal(got["x"][0], array)
        np.testing.assert_array_equal(got["x"][1]["y"], array.T)
        assert got["x"][0].dtype == array.dtype


def test_plain_values_and_large_messages_arrive() -> None:
    body = {"a": None, "b": True, "c": 1.5, "d": "ü", "e": [1, [2]], "f": {}}
    assert there_and_back(body) == body
    assert there_and_back(np.arange(3_000_000)).sum() == 3_000_000 * 2_999_999 // 2
    assert there_and_back(np.float32(2.5)) == 2.5


def test_objects_are_refused_by_the_sender() -> None:
    a, b, _, _ = pair()
    with pytest.raises(TypeError, match="object"):
        a.send(np.array([object()]))
    a.close(), b.close()


BAD_HEADERS = [
    b"not json",
    json.dumps({"body": {"$array": 0}, "arrays": []}).encode(),
    json.dumps({"body": {"$array": 0}, "arrays": [["object", [1]]]}).encode(),
    json.dumps({"body": 0, "arrays": [["float64", [1 << 40]]]}).encode(),
    json.dumps({"body": 0, "arrays": [["float64", [-1]]]}).encode(),
    json.dumps([1]).encode(),
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_rubbish_is_recognised(header: bytes) -> None:
    a, b, sock, _ = pair()
    sock.sendall(struct.pack("<I", len(header)) + header)
    with pytest.raises(Garbled):
        b.receive()
    a.close(), b.close()


def test_a_gone_partner_and_a_deadline_are_told_apart() -> None:
    a, b, _, _ = pair()
    with pytest.raises(TimeoutError):
        b.receive(time.monotonic() + 0.05)
    a.close()
    with pytest.raises(Closed):
        b.receive(time.monotonic() + 5)
    b.close()


def test_a_partner_that_does_not_read_does_not_block_the_sender_for_ever() -> None:
    a, b, _, _ = pair()
    with pytest.raises(TimeoutError):
        a.send(np.zeros(4_000_000), time.monotonic() + 0.2)
    a.close(), b.close()
