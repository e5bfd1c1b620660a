"""Ask a server that runs how it is: the other end of XSTATUS."""

from __future__ import annotations

import socket

PATIENCE = 10.0  # seconds
REPLY_LIMIT = 64 << 10


def facts(address: str) -> dict[str, str]:
    """What the server at `unix:PATH` or `HOST:PORT` tells of itself. Raises OSError where none answers so."""
    with _connected(address) as channel, channel.makefile("rwb") as stream:
        if not stream.readline(REPLY_LIMIT).startswith(b"220 "):
            raise ConnectionError("whoever listens there takes no clients")
        stream.write(b"XSTATUS\r\nQUIT\r\n")
        stream.flush()
        found = {}
        while (line := stream.readline(REPLY_LIMIT).decode("ascii", "replace").rstrip()).startswith("250-"):
            name, _, value = line[4:].partition(" ")
            found[name] = value
    if not line.startswith("250 "):
        raise ConnectionError(f"whoever listens there is no pydeliver: {line}")
    return found


def _connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(PATIENCE)
        try:
            channel.connect(address[5:])
        except OSError:
            channel.close()
            raise
        return channel
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)
