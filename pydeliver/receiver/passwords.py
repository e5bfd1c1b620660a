"""Who may log in: a file of users and bcrypt hashes, and whether a password is the right one.

The file has the form of htpasswd(1) and of Dovecot's passwd-file: `user:hash`, and fields behind that mean nothing
here. Refuses every other kind of hash, because a file that was stolen is safe only as long as guessing is slow. How
long a check takes tells nobody who has an account. The package `bcrypt` is loaded once somebody logs in.
"""

from __future__ import annotations

import re

from pydeliver.status import Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 72  # bytes that bcrypt looks at
USUAL_COST = "10"  # of a check where the file is empty
_SCHEME = re.compile(r"\{(?:BLF-)?CRYPT\}", re.IGNORECASE)
# 128 bits of salt are 22 digits, so that only four can be the last.
_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./0-9A-Za-z]{21}[.Oeu][./0-9A-Za-z]{31}")
_COST = slice(4, 6)
_OF_NOBODY = "." * 53


def is_available() -> bool:
    """Whether passwords can be checked at all."""
    from importlib.util import find_spec

    return find_spec("bcrypt") is not None


def read(data: bytes, path: str) -> tuple[dict[str, str], tuple[Diagnostic, ...]]:
    """The hashes in a file by their users, in lower case. A mistake never shows its line: that holds a secret."""
    found: dict[str, str] = {}
    mistakes = []
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        user, colon, rest = line.partition(":")
        user = user.strip()
        hashed = _SCHEME.sub("", rest.partition(":")[0].strip(), count=1)
        problem = ""
        if not colon or not user:
            problem = "a line is `user:hash`; `htpasswd -nB user` makes one"
        elif user.lower() in found:
            problem = f"{user} stands here twice"
        elif _HASH.fullmatch(hashed) is None:
            made = f"`htpasswd -nB {user}` or `doveadm pw -s BLF-CRYPT`"
            problem = f"what stands behind {user} is no bcrypt hash; {made} makes one"
        else:
            found[user.lower()] = hashed
        if problem:
            mistakes.append(Diagnostic(path, number, 1, problem, "bad-passwords"))
    return found, tuple(mistakes)


class Passwords:
    """`hashes` is a file, read."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = hashes
        costs = [hashed[_COST] for hashed in hashes.values()] or [USUAL_COST]
        # The commonest: where costs differ, nobody's can be like everybody's.
        self._nobody = f"$2b${max(sorted(set(costs)), key=costs.count)}${_OF_NOBODY}"

    def check(self, user: str, password: str) -> bool:
        """Whether this is the user's password. Blocks for as long as one computation takes, whoever asks."""
        import bcrypt

        hashed = self._hashes.get(user.lower(), "")
        secret = password.encode("utf-8", "surrogatepass")
        fits = len(secret) <= LONGEST and 0 not in secret  # other programs end a password at NUL
        matches = bcrypt.checkpw(secret if fits else b"", (hashed or self._nobody).encode("ascii"))
        return matches and fits and bool(hashed)
