"""Who may log in: what a file of passwords may hold, and that asking tells nobody who is in it."""

from __future__ import annotations

import bcrypt
import pytest

from pydeliver.receiver import passwords
from pydeliver.receiver.passwords import Passwords, read

HASH = "$2b$04$3hwqpTZxtictWbJ1u92E/eYVSbdc1JVBbMhLJvRsK1B//z6rCFAQy"  # of "q"


def hashed(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode("ascii")


@pytest.mark.parametrize("variant", ["$2a$", "$2b$", "$2y$"])
@pytest.mark.parametrize("scheme", ["", "{BLF-CRYPT}", "{CRYPT}", "{blf-crypt}"])
@pytest.mark.parametrize("behind", ["", ":", ":1000:1000::/home/jo::# a comment"])
def test_the_files_of_htpasswd_and_dovecot_are_read(variant: str, scheme: str, behind: str) -> None:
    line = f"jo@example.net:{scheme}{variant}{HASH[4:]}{behind}"
    found, mistakes = read(f"# who may\r\n\r\n  \n {line}\n".encode(), "passwords")
    assert mistakes == ()
    assert found == {"jo@example.net": variant + HASH[4:]}
    assert Passwords(found).check("jo@example.net", "q")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("jo", "a line is `user:hash`; `htpasswd -nB user` makes one"),
        (f":{HASH}", "a line is `user:hash`; `htpasswd -nB user` makes one"),
        (f"jo:{HASH}\nJo:{HASH}", "Jo stands here twice"),
    ],
)
def test_a_mistake_in_the_file_is_told(line: str, problem: str) -> None:
    _, mistakes = read(line.encode(), "passwords")
    assert [(one.message, one.name) for one in mistakes] == [(problem, "bad-passwords")]
    assert mistakes[0].line == line.count("\n") + 1


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "secret",
        "{PLAIN}secret",
        "{SHA512-CRYPT}$6$salt$digest",
        "{BLF-CRYPT.b64}" + HASH,
        "{CRYPT}{CRYPT}" + HASH,
        "$apr1$salt$digest",
        "$2x$" + HASH[4:],
        "$2b$03$" + HASH[7:],
        "$2b$32$" + HASH[7:],
        HASH[:-1],
        HASH + "x",
        HASH[:28] + "a" + HASH[29:],  # a salt of more than 128 bits, which bcrypt refuses
    ],
)
def test_what_is_no_hash_by_bcrypt_is_a_mistake_that_says_how_to_make_one(hashed: str) -> None:
    found, mistakes = read(f"jo:{hashed}".encode(), "passwords")
    assert found == {}
    made = "`htpasswd -nB jo` or `doveadm pw -s BLF-CRYPT` makes one"
    assert [one.message for one in mistakes] == [f"what stands behind jo is no bcrypt hash; {made}"]


def test_a_mistake_shows_nothing_of_what_may_be_a_password() -> None:
    _, mistakes = read(b"jo:secret\nsecret\n", "passwords")
    assert len(mistakes) == 2
    assert "secret" not in repr(mistakes)


@pytest.mark.parametrize(
    ("user", "password", "matches"),
    [
        ("jo", "right", True),
        ("JO", "right", True),
        ("jo", "Right", False),
        ("jo", "", False),
        ("jo", "right\0", False),
        ("jo", "right\ud800", False),
        ("kim", "grün", True),
        ("kim", "grün\N{COMBINING DIAERESIS}", False),
        ("nobody", "right", False),
        ("nobody", "", False),
        ("", "", False),
        ("long", "x" * 72, True),
        ("long", "x" * 73, False),
        ("nul", "a\0b", False),
        ("nul", "a", False),
        ("empty", "x" * 73, False),  # not taken for the empty one, either
        ("empty", "a\0", False),
    ],
)
def test_a_password_is_checked(user: str, password: str, matches: bool) -> None:
    known = {"jo": b"right", "kim": "grün".encode(), "long": b"x" * 72, "nul": b"a\0b", "empty": b""}
    checked = Passwords({one: hashed(secret) for one, secret in known.items()})
    assert checked.check(user, password) is matches


@pytest.mark.parametrize("user", ["jo", "nobody"])
@pytest.mark.parametrize("password", ["right", "wrong", "", "x" * 73, "a\0b"])
def test_every_check_computes_once_and_at_the_same_cost(
    user: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = []
    really = bcrypt.checkpw

    def noting(secret: bytes, hashed: bytes) -> bool:
        costs.append(hashed[4:6])
        return really(secret, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", noting)
    checked = Passwords({"jo": hashed(b"right", 5), "kim": hashed(b"right", 5), "al": hashed(b"right", 4)})
    assert checked.check(user, password) is ((user, password) == ("jo", "right"))
    assert costs == [b"05"]


def test_a_file_without_users_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "USUAL_COST", "04")
    assert Passwords({}).check("jo", "") is False


def test_whether_bcrypt_is_there_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert passwords.is_available()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not passwords.is_available()
