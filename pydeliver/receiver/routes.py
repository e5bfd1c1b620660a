"""Where mail for a domain goes: the hosts that take it, in the order in which they are to be tried.

All of it to a smarthost where the site has one; else by the domain's MX records (RFC 5321 5.1, RFC 7505), asked for by
dnspython. What the name servers say for good is refused for good; what they can't say now is to be tried again. Refuses
to send mail round in a circle by our own name, or to addresses at which nobody but this host itself can answer.
"""

from __future__ import annotations

import ipaddress
import random
import re
import socket
import time

from pydeliver.status import Status, Value, deferred, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

HOSTS = 10  # of a domain that are looked at, whatever it says
ADDRESSES = 10  # of all of them
QUERY_SECONDS = 5.0
ALL_SECONDS = 15.0  # of queries for one domain: a client waits
_NAME_SERVERS_LISTEN = 53
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
# What IDNA 2003 makes another name of, whose owner may be somebody else, and today's IDNA doesn't (RFC 5894 7.2).
_CHANGED_IN_2003 = frozenset("ßς\u200c\u200d")


class Hop(Value):
    """A host by its name, and where it listens."""

    host: str
    addresses: tuple[str, ...]
    port: int


class Routes:
    """Made from settings that have been checked. `port` is that of MX hosts; `shuffle` mixes those of one preference.

    Of a domain's hosts none is at a loopback address, unless `to_loopback`; a smarthost is where the site says.
    """

    def __init__(
        self,
        smarthost: str,
        nameservers: Sequence[str],
        own_name: str,
        port: int = 25,
        to_loopback: bool = False,
        shuffle: Callable[[list[tuple[int, str]]], object] = random.shuffle,
    ) -> None:
        self.smarthost = smarthost
        self._nameservers = [place(one) for one in nameservers]
        self._own_name = in_ascii(own_name)
        self._port = port
        self._to_loopback = to_loopback
        self._shuffle = shuffle

    def find(self, domain: str) -> list[Hop] | Status:
        """The hosts for a domain, as it stands in an address. Waits for name servers: not for an event loop."""
        if self.smarthost:
            return self._by_smarthost()
        if domain.startswith("["):
            return refused(f"mail for {domain} is not passed on to: an address needs a name there", "5.1.2")
        name = in_ascii(domain)
        if not name:
            return refused(f"{domain} is not the name of a domain", "5.1.2")
        try:
            asking = _Asking(self._nameservers)
        except ImportError:
            return deferred("passing mail on needs pip install pydeliver[smtp]", "4.3.5")
        return self._by_records(domain, name, asking)

    def _by_smarthost(self) -> list[Hop] | Status:
        """A name that is not found is a mistake of the site's, or of the network: no mail is refused for it."""
        host, _, port = self.smarthost.rpartition(":")
        host = host.strip("[]")
        try:
            found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:  # ValueError: a name that can't be encoded
            return deferred(f"the smarthost {host} is not found: {error}", "4.4.3")
        addresses = dict.fromkeys([str(one[4][0]) for one in found])
        return [Hop(host, tuple(addresses)[:ADDRESSES], int(port))]

    def _by_records(self, domain: str, name: str, asking: _Asking) -> list[Hop] | Status:
        records = asking.ask(name, "MX")
        if isinstance(records, Status):
            return records
        hosts = [(int(record.preference), _host(record.exchange)) for record in records]
        if len(hosts) == 1 and hosts[0][1] == ".":
            return refused(f"{domain} takes no mail", "5.1.10")
        named = bool(hosts)
        hosts = hosts if named else [(0, name)]
        ours = [preference for preference, host in hosts if host == self._own_name]
        if ours:  # what is no nearer to the goal than we are would give it back
            hosts = [one for one in hosts if one[0] < min(ours)]
            if not hosts:
                return refused(f"mail for {domain} would come back to this host", "5.4.6")
        hosts = sorted({one for one in hosts if _HOST.fullmatch(one[1])})
        self._shuffle(hosts)
        hosts.sort(key=lambda one: one[0])
        hops, problem = self._reached([host for _, host in hosts[:HOSTS]], asking)
        if hops:
            return hops
        if problem is not None:
            return problem
        if named:
            return refused(f"none of the hosts for {domain} has an address that can be used", "5.4.4")
        return refused(f"{domain} has neither MX records nor an address that can be used", "5.1.2")

    def _reached(self, hosts: Sequence[str], asking: _Asking) -> tuple[list[Hop], Status | None]:
        """Those that have addresses; and why others may have some that nobody could tell."""
        hops: list[Hop] = []
        problem = None
        room = ADDRESSES
        for host in hosts:
            addresses: list[str] = []
            for kind in ("A", "AAAA"):  # where both are, more of the world believes who comes from the former
                records = asking.ask(host, kind)
                if isinstance(records, Status):
                    if records.code[0] == "5":  # there is no such name
                        break
                    problem = records
                    continue
                addresses += [record.address for record in records if self._to_loopback or _elsewhere(record.address)]
            if addresses:
                hops.append(Hop(host, tuple(addresses[:room]), self._port))
                room -= len(addresses)
            if room <= 0:
                break
        return hops, problem


class _Asking:
    """The questions about one domain, and the time that they have together. Raises ImportError without dnspython."""

    def __init__(self, nameservers: Sequence[tuple[str, int]]) -> None:
        import dns.resolver  # noqa: F401 - an extra: whether it is there

        self._nameservers = nameservers
        self._until = time.monotonic() + ALL_SECONDS

    def ask(self, name: str, kind: str) -> Sequence[Any] | Status:
        """The records of a kind, none where the name has others only; refused where there is no such name."""
        import dns.exception
        import dns.resolver

        try:
            # Each for a part of the time only, so that there is some for another.
            asking = resolver(self._nameservers, QUERY_SECONDS / 3)
            return list(asking.resolve(name, kind, lifetime=self._left(), search=False))
        except dns.resolver.NoAnswer:
            return []
        except dns.resolver.NXDOMAIN:
            return refused(f"there is no domain {name}", "5.1.2")
        except (dns.exception.DNSException, OSError, ValueError):  # ValueError: a server that is no address
            return deferred(f"the name servers don't answer for {name}", "4.4.3")

    def _left(self) -> float:
        return max(0.0, min(QUERY_SECONDS, self._until - time.monotonic()))


def resolver(nameservers: Sequence[tuple[str, int]], seconds: float) -> Any:
    """One that asks these, or the system's, each for so long; where those are is read anew each time."""
    import dns.nameserver
    import dns.resolver

    made = dns.resolver.Resolver(configure=not nameservers)
    if nameservers:
        made.nameservers = [dns.nameserver.Do53Nameserver(*one) for one in nameservers]
    made.timeout = seconds
    return made


def place(nameserver: str) -> tuple[str, int]:
    """`ip` or `ip:port`; an address of IPv6 before a port stands in brackets. Raises ValueError for another thing."""
    try:
        return str(ipaddress.ip_address(nameserver.strip("[]"))), _NAME_SERVERS_LISTEN
    except ValueError:
        address, _, port = nameserver.rpartition(":")
        return str(ipaddress.ip_address(address.strip("[]"))), int(port)


def in_ascii(domain: str) -> str:
    """A domain as the DNS has it: lower case, in A-labels (RFC 5890); "" for what can't be one."""
    labels = re.split("[.。．｡]", domain.removesuffix(".").lower())
    try:
        name = ".".join([_label(one) for one in labels])
    except UnicodeError:
        return ""
    return name if len(name) <= 253 and _HOST.fullmatch(name) else ""


def _label(label: str) -> str:
    if _CHANGED_IN_2003.isdisjoint(label):
        return label.encode("idna").decode("ascii")
    return "xn--" + label.encode("punycode").decode("ascii")


def _host(name: Any) -> str:
    """A host as a record names it; "." for none."""
    return str(name.to_text(omit_final_dot=True)).lower()


def _elsewhere(address: str) -> bool:
    """Whether an address can be another host's (RFC 6890), also one of IPv4 in the clothes of IPv6."""
    found: Any = ipaddress.ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    return not (found.is_loopback or found.is_unspecified or found.is_multicast)
