"""Who may hand over mail by SMTP, for whom, and what is asked of him: the site's settings for its side to the network.

Loaded only where a site listens for SMTP. Refuses to pass anything on for somebody who is neither in a trusted network
nor logged in (an open relay), whatever the address looks like: an address is ours by its domain alone.
"""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network

from pydeliver.memory.visits import Visits
from pydeliver.receiver import hygiene, passwords
from pydeliver.receiver.hygiene import Hygiene
from pydeliver.receiver.passwords import Passwords
from pydeliver.receiver.routes import Routes, in_ascii, place
from pydeliver.receiver.smtp import Terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network
    from typing import Any

    Network = IPv4Network | IPv6Network

OUTSIDE = 100  # conversations with other hosts at once: name servers, next hops
PASSES_ON = ("trusted", "submission", "submissions")  # the settings of those whose mail is passed on
AT_PASSWORDS = 2  # looked at at once: each costs the processor a good part of a second, on purpose


class Gate:
    """By the settings, the hashes of `smtp.passwords`, and what `onward.login` holds, name and password.

    `visits` are those of the gate before, where this one takes its place.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        own_name: str,
        hashes: Mapping[str, str],
        login: tuple[str, str] | None,
        visits: Visits | None = None,
    ) -> None:
        self.domains = tuple([in_ascii(one) for one in values["domains"]])
        self.context = _context(values["smtp.certificate"], values["smtp.key"])
        self.passwords = Passwords(hashes) if values["smtp.passwords"] else None
        self.login = login
        self.must_encrypt = values["onward.tls"] == "must"
        self.per_client = int(values["smtp.per-client"])
        self.visits = visits or Visits(values["smtp.state"])
        self.routes = Routes(values["onward.smarthost"], values["smtp.nameservers"], own_name)
        self.hygiene = Hygiene(
            values["smtp.greylist"],
            values["smtp.blocklists"],
            values["smtp.spf"],
            values["smtp.helo"],
            (own_name, *self.domains),
            values["smtp.nameservers"],
            self.visits,
        )
        self.outside = ThreadPoolExecutor(OUTSIDE, "outside")
        self.at_passwords = ThreadPoolExecutor(AT_PASSWORDS, "passwords")
        self._clients = _networks(values["smtp.clients"])
        self._trusted = _networks(values["smtp.trusted"])

    def terms(self, door: str) -> Terms:
        """What clients of a door are offered."""
        return Terms(self.context is not None, self.passwords is not None, door != "smtp")

    def admits(self, address: str) -> bool:
        """Whether a client may come at all."""
        return not self._clients or _is_within(address, self._clients)

    def trusts(self, address: str) -> bool:
        """Whether a client may have mail passed on without a login."""
        return _is_within(address, self._trusted)

    def is_ours(self, domain: str) -> bool:
        return in_ascii(domain) in self.domains


def _networks(written: Sequence[str]) -> tuple[Network, ...]:
    return tuple([ip_network(one, strict=False) for one in written])


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:  # a client behind a socket of this host
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any([(mapped or found) in network for network in networks])


def _context(certificate: str, key: str) -> ssl.SSLContext | None:
    """TLS by these files; None without. Raises OSError, of which ssl's errors are."""
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key or None)
    return context


def contradictions(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with these settings though each by itself is right."""
    found = []
    if not values["domains"]:
        found.append("domains: which are yours? SMTP takes mail for them alone")
    found += [f"domains: {one} is no name of a domain" for one in values["domains"] if not in_ascii(one)]
    for name in ("smtp.clients", "smtp.trusted"):
        for one in values[name]:
            try:
                ip_network(one, strict=False)
            except ValueError:
                found.append(f'{name}: {one} is no network, like "192.0.2.0/24"')
    for one in values["smtp.nameservers"]:
        try:
            place(one)
        except ValueError:
            found.append(f'smtp.nameservers: {one} is no address, like "192.0.2.53" or "127.0.0.1:5353"')
    if values["smtp.key"] and not values["smtp.certificate"]:
        found.append("smtp.key: it belongs to a certificate, which smtp.certificate names")
    for name in ("smtp.submission", "smtp.submissions"):
        if values[name] and not (values["smtp.certificate"] and values["smtp.passwords"]):
            found.append(f"{name}: who hands over his own mail logs in, in TLS: it needs certificate and passwords")
    if values["smtp.passwords"] and not passwords.is_available():
        found.append("smtp.passwords: it needs pip install pydeliver[smtp]")
    needs = hygiene.missing(values["smtp.spf"], values["smtp.blocklists"])
    if needs:
        found.append(f"smtp.spf, smtp.blocklists: {needs}")
    finds_hosts = not values["onward.smarthost"] and any([values[f"smtp.{name}"] for name in PASSES_ON])
    if finds_hosts and (needs := hygiene.missing(False, ("MX",))):
        found.append(f"onward.smarthost: without one, hosts are found by DNS, and {needs}")
    return found
