"""A name server for tests, on loopback: it says what its zones say, refuses to know, or says nothing at all."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SERVFAIL: Final = "SERVFAIL"
SILENT: Final = "SILENT"

# By name, without the last dot: records by their kind, or how it fails. A kind may fail alone. Other names don't exist.
Zones = Mapping[str, Mapping[str, Sequence[str] | str] | str]


class NameServer:
    """Answers by UDP while it is entered. `asked` are all questions, as name and kind."""

    def __init__(self, zones: Zones, address: str = "127.0.0.1", port: int = 0) -> None:
        self.zones = zones
        self.asked: list[tuple[str, str]] = []
        answer = self._answer

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, channel = self.request
                said = answer(data)
                if said is not None:
                    channel.sendto(said, self.client_address)

        self._server = socketserver.UDPServer((address, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def place(self) -> str:
        """Where it listens, as a setting has it."""
        return "{}:{}".format(*self._server.server_address)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        found = self._found(name, kind, reply)
        if found == SILENT:
            return None
        if found is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif found == SERVFAIL:
            reply.set_rcode(dns.rcode.SERVFAIL)
        return reply.to_wire()

    def _found(self, name: str, kind: str, reply: dns.message.Message) -> Sequence[str] | str | None:
        """What there is to say of a name; records go into the reply. None where the name doesn't exist."""
        zone = self.zones.get(name.lower())
        if zone is None or isinstance(zone, str):
            return zone
        other = zone.get("CNAME")
        if other:
            reply.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", other[0]))
            return self._found(other[0].removesuffix("."), kind, reply)
        records = zone.get(kind, ())
        if records and not isinstance(records, str):
            reply.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, records))
        return records
