"""Messages between the scorer and the child that holds the model: JSON with arrays beside it, never a pickle.

A message is ``uint32 length | JSON header | raw array bytes``. In the header an array stands as ``{"$array": k}``, and
``arrays`` lists dtype and shape of each; their bytes follow in that order, C-contiguous, little-endian.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from typing import Any

import numpy as np

DTYPES = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)
MAX_HEADER_BYTES = 256 << 20
MAX_ARRAY_BYTES = 4 << 30
_KEY = "$array"


class Closed(Exception):  # noqa: N818 - an event, not a fault of this module
    """The other side has gone."""


class Garbled(Exception):  # noqa: N818
    """The other side sent something that is not a message."""


class Wire:
    """One end of a socket pair; sends and receives whole messages."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, body: Any, deadline: float | None = None) -> None:
        """Send one message: None, bool, int, float, str, list, dict and NumPy arrays, nested.

        Raises:
            Closed: nobody is listening.
            TimeoutError: `deadline` (`time.monotonic` seconds) passed.
        """
        arrays: list[np.ndarray[Any, Any]] = []
        tree = _pack(body, arrays)
        header = json.dumps({"body": tree, "arrays": [[a.dtype.name, a.shape] for a in arrays]}).encode()
        self._arm(deadline)
        try:
            self._sock.sendall(struct.pack("<I", len(header)) + header)
            for array in arrays:
                if array.nbytes:
                    self._sock.sendall(array.reshape(-1).view(np.uint8).data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive(self, deadline: float | None = None) -> Any:
        """The next message.

        Raises:
            Closed: the other side has gone.
            Garbled: what came is not a message.
            TimeoutError: `deadline` passed.
        """
        (length,) = struct.unpack("<I", self._read(4, deadline))
        if length > MAX_HEADER_BYTES:
            raise Garbled(f"a header of {length} bytes")
        try:
            header = json.loads(self._read(length, deadline))
            shapes = [(str(dtype), tuple(int(n) for n in shape)) for dtype, shape in header["arrays"]]
            body = header["body"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise Garbled(str(error)) from None
        return _unpack(body, [self._array(dtype, shape, deadline) for dtype, shape in shapes])

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def _array(self, dtype: str, shape: tuple[int, ...], deadline: float | None) -> np.ndarray[Any, Any]:
        if dtype not in DTYPES or min(shape, default=0) < 0:
            raise Garbled(f"an array of dtype {dtype!r} and shape {shape}")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > MAX_ARRAY_BYTES:
            raise Garbled(f"an array of {size} bytes")
        return np.frombuffer(self._read(size, deadline), dtype=dtype).reshape(shape)

    def _read(self, size: int, deadline: float | None) -> bytearray:
        buffer = bytearray(size)
        view, at = memoryview(buffer), 0
        while at < size:
            self._arm(deadline)
            try:
                got = self._sock.recv_into(view[at:])
            except ConnectionResetError:
                raise Closed from None
            if not got:
                raise Closed
            at += got
        return buffer

    def _arm(self, deadline: float | None) -> None:
        if deadline is None:
            self._sock.settimeout(None)
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)


def _pack(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.name not in DTYPES:
            raise TypeError(f"arrays of dtype {value.dtype} cannot be sent")
        arrays.append(np.ascontiguousarray(value))
        return {_KEY: len(arrays) - 1}
    if isinstance(value, dict):
        return {str(key): _pack(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(item, arrays) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _unpack(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_KEY}:
            try:
                return arrays[value[_KEY]]
            except (IndexError, TypeError):
                raise Garbled("an array that was not sent") from None
        return {key: _unpack(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    return value
