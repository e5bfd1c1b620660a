"""What the server and its workers say to each other: an order with the text of a message, and a status.

Two lengths, JSON, and bytes. Neither side believes the other: a worker runs as somebody whose programs may have got
hold of it, and the server has read what strangers wrote. JSON and not pickle or marshal, for that reason.
"""

from __future__ import annotations

import json
import socket
import struct

from pydeliver.status import Status, Value, deferred

LENGTHS = struct.Struct("!II")  # of the JSON, of the text
ORDER_LIMIT = 64 << 10  # bytes of JSON
TEXT_LIMIT = 1 << 20  # bytes of text; what is longer comes as a file
AT_FIRST = 64 << 10  # bytes to take at once: room for more would be got from the kernel, and given back, each time
STATUS_LIMIT = 16 << 10


class Order(Value):
    """One message for one user, by its `name`; `user` is what rules call him.

    `home` is "" for a user of the system, who knows it himself; else it is made if it is not there, but never `base`,
    the directory above it that a site has: what is to be mounted there may not be mounted yet. `rejected` says where
    goes what rules reject, as the setting `reject-as` does; "" leaves it to that.
    """

    user: str
    home: str
    sender: str
    recipient: str
    name: str
    base: str = ""
    door: str = "lmtp"
    rejected: str = ""


class Closed(Exception):
    """The other side is gone, or talks nonsense."""


def packed(order: Order, text: bytes) -> bytes:
    said = json.dumps(order._astuple()).encode("ascii")
    return LENGTHS.pack(len(said), len(text)) + said + text


def receive(channel: socket.socket) -> tuple[Order, bytes, int] | None:
    """The next order, what the message begins with, and the file with the rest of it or -1; None at the end."""
    try:
        begun, files, _, _ = socket.recv_fds(channel, AT_FIRST, 1)
    except OSError as error:
        raise Closed from error
    if not begun:
        return None
    said, text = LENGTHS.unpack(begun[: LENGTHS.size]) if len(begun) >= LENGTHS.size else (0, 0)
    if not said or said > ORDER_LIMIT or text > TEXT_LIMIT:
        raise Closed
    pieces, missing = [begun], LENGTHS.size + said + text - len(begun)
    while missing > 0:
        piece = channel.recv(missing)
        if not piece:
            raise Closed
        pieces.append(piece)
        missing -= len(piece)
    data = b"".join(pieces)[LENGTHS.size :]
    fields = json.loads(data[:said])
    if not isinstance(fields, list) or not all([isinstance(field, str) for field in fields]):
        raise Closed
    return Order(*fields), data[said:], next(iter(files), -1)


def packed_status(status: Status) -> bytes:
    said = json.dumps([status.code, status.text[:1000]]).encode("ascii")
    return LENGTHS.pack(len(said), 0) + said


def status_from(data: bytes) -> Status | None:
    """The status that has come, None while it has not come whole. What is none is to be tried again."""
    if len(data) < LENGTHS.size:
        return None
    said, _ = LENGTHS.unpack(data[: LENGTHS.size])
    if said > STATUS_LIMIT:
        return deferred("a worker talks nonsense")
    if len(data) < LENGTHS.size + said:
        return None
    try:
        code, text = json.loads(data[LENGTHS.size : LENGTHS.size + said])
        if isinstance(code, str) and isinstance(text, str) and code[:2] in ("2.", "4.", "5."):
            return Status(code, text)
    except ValueError:
        pass
    return deferred("a worker talks nonsense")
