"""Who looks suspicious while he hands mail over: by his HELO, by lists in DNS, by SPF, or because nobody knows him yet.

RFC 5321 4.1.3 (address literals), RFC 5782 (lists), RFC 7208 with 7372 (SPF), RFC 6647 (greylisting). Each is off until
it is asked for. Refuses only what is known: a list that does not answer lists nobody, a broken SPF record says nothing.
Clients nearby, on loopback, in private networks or behind a socket of this system, are never judged. DNS is asked
through dnspython, and SPF is judged by pyspf, both optional (`missing`).
"""

from __future__ import annotations

import importlib.util
import ipaddress
import math
import re
import threading

from pydeliver.memory import tell_syslog
from pydeliver.receiver import path as paths
from pydeliver.receiver.routes import in_ascii, place, resolver
from pydeliver.status import Status, deferred, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pydeliver.memory.visits import Visits

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

QUERY_SECONDS = 3.0
SERVER_SECONDS = 1.0  # for one name server, before the next is asked
SPF_SECONDS = 20.0  # for all queries of one judgement (RFC 7208 4.6.4)
SPF_RECORD = 2048  # bytes; pyspf's patterns take time by the square of a record, and this is 0.04 s
REMEMBERED_SECONDS = 60.0
REMEMBERED = 1000
NEARBY = [
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]
LISTED, NOT_LISTED = ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("127.255.255.0/24")
_NUMBER = re.compile(r"\d+")


def missing(spf: bool, blocklists: Sequence[str]) -> str:
    """What has to be installed for these, in words; "" where all is there."""
    packages = {"dnspython": "dns", "pyspf": "spf"} if spf else {"dnspython": "dns"} if blocklists else {}
    absent = [package for package, module in packages.items() if importlib.util.find_spec(module) is None]
    verb = "are" if len(absent) > 1 else "is"
    return f"{' and '.join(absent)} {verb} not installed: pip install pydeliver[smtp]" if absent else ""


class Hygiene:
    """Judges by a site's settings; one for all threads.

    `greylist` is in seconds; `own_names` are this host's and those of the domains that have mail here; `nameservers`
    are "address" or "address:port", none for the system's.
    """

    def __init__(
        self,
        greylist: int = 0,
        blocklists: Sequence[str] = (),
        spf: bool = False,
        helo: bool = False,
        own_names: Sequence[str] = (),
        nameservers: Sequence[str] = (),
        visits: Visits | None = None,
    ) -> None:
        self._greylist = greylist if visits is not None else 0
        self._visits = visits
        self._blocklists = tuple([zone.strip(".") for zone in blocklists])
        self._spf = spf
        self._helo = helo
        self._own_names = frozenset([_folded(name) for name in own_names])
        self._nameservers = tuple([place(text) for text in nameservers])
        self._remembered: dict[tuple[str, ...], tuple[float, Status | None]] = {}
        self._lock = threading.Lock()  # over the making of the next
        self._pyspf: Any = None

    @property
    def is_off(self) -> bool:
        return not (self._greylist or self._blocklists or self._spf or self._helo)

    def judge(self, client: str, helo: str, sender: str, recipient: str, now: float) -> Status | None:
        """Why this recipient is not accepted from this client; None where nothing speaks against it.

        Blocks while others are asked. To be asked for recipients that are there only: each is remembered.
        """
        address = _address(client)
        if self.is_off or address is None or any([address in network for network in NEARBY]):
            return None
        by_name, by_sender = ("list", client), ("spf", client, helo, sender)
        return (
            (self._by_helo(address, helo) if self._helo else None)
            or (self._once(by_name, now, lambda: self._by_lists(address)) if self._blocklists else None)
            or (self._once(by_sender, now, lambda: self._by_spf(address, helo, sender)) if self._spf else None)
            or (self._by_visits(address, sender, recipient, now) if self._greylist else None)
        )

    def _once(self, key: tuple[str, ...], now: float, judged: Callable[[], Status | None]) -> Status | None:
        """The same answer for a while, so that a hundred recipients cost what one does."""
        at, found = self._remembered.get(key, (-math.inf, None))
        if not at <= now < at + REMEMBERED_SECONDS:
            found = judged()
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = now, found
        return found

    # -- HELO ---------------------------------------------------------------------------------------------------

    def _by_helo(self, address: Address, helo: str) -> Status | None:
        """Only what no mail server says by mistake: names that don't lead back to the client are common, and RFC 5321

        4.1.4 forbids to refuse them.
        """
        if _folded(helo) in self._own_names:
            return refused(f"HELO {helo}: that is this server itself; say the name of yours")
        if helo.startswith("["):
            if _literal(helo) != address:
                return refused(f"HELO {helo}: that is not your address, which is {address}")
        elif (bare := _address(helo)) is not None:
            literal = f"[{bare}]" if bare.version == 4 else f"[IPv6:{bare}]"
            return refused(f"HELO {helo}: an address stands in brackets, like {literal}; better say a name")
        elif "." not in helo.strip("."):
            return refused(f"HELO {helo}: say the whole name of your server, like mail.example.org")
        return None

    # -- lists --------------------------------------------------------------------------------------------------

    def _by_lists(self, address: Address) -> Status | None:
        reversed_ = address.reverse_pointer.rsplit(".", 2)[0]  # without in-addr.arpa or ip6.arpa
        for zone in self._blocklists:
            name = f"{reversed_}.{zone}"
            answers = [ipaddress.ip_address(one.address) for one in self._asked(name, "A") or ()]
            # Some lists answer that they don't, with an address of their own.
            if any([one in LISTED and one not in NOT_LISTED for one in answers]):
                why = [b"".join(one.strings).decode("utf-8", "replace") for one in self._asked(name, "TXT") or ()]
                return refused(f"{address} is listed at {zone}" + (f": {why[0]}" if why else ""))
        return None

    # -- SPF ----------------------------------------------------------------------------------------------------

    def _by_spf(self, address: Address, helo: str, sender: str) -> Status | None:
        local, domain = paths.split(sender) or ("postmaster", "")  # RFC 7208 2.4
        domain = in_ascii(domain or helo)
        if "." not in domain:
            return None  # not a name that could have a record (RFC 7208 4.3)
        # pyspf takes what is behind the first "@" for the domain; a quoted local part may hold one.
        asked = f"{local.replace('@', '=')}@{domain}"
        pyspf = self._own_pyspf()
        try:
            result, explanation = pyspf.check2(
                i=str(address), s=asked, h=helo, timeout=QUERY_SECONDS, querytime=SPF_SECONDS
            )
        except Exception as error:  # noqa: BLE001 - what strangers wrote into DNS meets code that raises what it likes
            tell_syslog(f"SPF of {domain} can't be judged: {type(error).__name__}: {error}")
            return None
        if result == "fail":
            why = "" if explanation == pyspf.EXPLANATIONS["fail"] else f"; it explains: {explanation}"
            return refused(f"the SPF record of {domain} forbids {address} to send its mail{why}", "5.7.23")
        if result == "temperror":
            return deferred(f"the SPF record of {domain} can't be looked up now; try again later", "4.4.3")
        return None

    def _own_pyspf(self) -> Any:
        """pyspf, which asks as this one does. Where it asks is a global of its module; so this one has a module."""
        with self._lock:
            if self._pyspf is None:
                spec = importlib.util.find_spec("spf")
                if spec is None or spec.loader is None:
                    raise ModuleNotFoundError("pyspf is not installed", name="spf")
                made: Any = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(made)
                made.DNSLookup = self._asked_by_pyspf
                self._pyspf = made
            return self._pyspf

    def _asked_by_pyspf(self, name: str, kind: str, _strict: bool, seconds: float) -> list[tuple[tuple[str, str], Any]]:
        answers = self._asked(name, kind, seconds)
        if answers is None:
            raise self._pyspf.TempError(f"{kind} of {name}")
        if kind == "TXT":
            answers = [one for one in answers if sum(map(len, one.strings)) <= SPF_RECORD]
        return [((name, kind), _PLAIN[kind](one)) for one in answers]

    # -- greylisting --------------------------------------------------------------------------------------------

    def _by_visits(self, address: Address, sender: str, recipient: str, now: float) -> Status | None:
        assert self._visits is not None
        # A crowd of servers may share a queue.
        network = ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False)
        # Lists number what they send, each letter by a sender of its own (VERP).
        triplet = (str(network), _NUMBER.sub("#", sender.lower()), recipient.lower())
        seconds = self._visits.greeted(triplet, now)
        if seconds < self._greylist:
            return deferred(f"greylisted: try again in {math.ceil(self._greylist - seconds)} seconds", "4.7.1")
        if seconds < math.inf:
            self._visits.welcomed(triplet, now)
        return None

    # -- DNS ----------------------------------------------------------------------------------------------------

    def _asked(self, name: str, kind: str, seconds: float = math.inf) -> list[Any] | None:
        """Records; [] where there are none; None where nobody says so."""
        import dns.exception
        import dns.name
        import dns.resolver

        try:
            asked = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError):  # too long, or otherwise no name
            return []
        try:
            asking = resolver(self._nameservers, SERVER_SECONDS)
            return list(asking.resolve(asked, kind, lifetime=min(seconds, QUERY_SECONDS)))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError, ValueError):
            return None


# What pyspf wants of a record.
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "A": lambda record: record.address,
    "AAAA": lambda record: record.address,
    "MX": lambda record: (record.preference, record.exchange),
    "PTR": lambda record: record.target.to_text(omit_final_dot=True),
    "TXT": lambda record: record.strings,
}


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _literal(helo: str) -> Address | None:
    """The address in brackets, with or without the tag that IPv6 should have (RFC 5321 4.1.3)."""
    inside = helo[1:-1] if helo.endswith("]") else ""
    return _address(inside[5:] if inside[:5].lower() == "ipv6:" else inside)


def _folded(name: str) -> str:
    return name.lower().rstrip(".")
