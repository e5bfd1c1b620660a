"""Who has mail here: addresses, what stands for them, and what can't be asked."""

from __future__ import annotations

import asyncio
import os
import pwd
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pydeliver import settings
from pydeliver.receiver.users import Account, Directory, read
from pydeliver.status import Status

UNKNOWN = Status("5.1.1", "there is no such user")
FILE = b"""
# who has mail here
jo@example.net
Kim@Example.NET   /srv/kim
sales@example.net = kim@example.net
info@example.net  = sales@example.net
round@example.net = about@example.net
about@example.net = round@example.net
jo+list@example.net /srv/lists
@example.org      = jo@example.net
"""
VIRTUAL = {"users.kind": "virtual", "users.home": "/srv/mail/{domain}/{user}"}
JO = Account("jo@example.net", "", "/srv/mail/example.net/jo", "/srv/mail")
KIM = Account("kim@example.net", "", "/srv/kim", "")


def directory(file: bytes = FILE, **more: object) -> Directory:
    listed, mistakes = read(file, "users")
    assert mistakes == ()
    values = settings.defaults((*settings.SETTINGS, *settings.SERVER))
    return Directory(values | VIRTUAL | {name.replace("_", "."): value for name, value in more.items()}, listed)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("jo@example.net", JO),
        ("JO@EXAMPLE.NET", JO),
        ("jo+shop@example.net", JO),
        ("jo+list@example.net", Account("jo+list@example.net", "", "/srv/lists", "")),
        ('"jo"@example.net', JO),
        ("kim@example.net", KIM),
        ("sales@example.net", KIM),
        ("info+x@example.net", KIM),
        ("whoever@example.org", JO),
        ("round@example.net", UNKNOWN),
        ("whoever@example.net", UNKNOWN),
        ("jo@example.com", UNKNOWN),
        ("jo", UNKNOWN),
        ("../jo@example.net", UNKNOWN),
        ("@example.org", UNKNOWN),
        (".@example.org", UNKNOWN),
    ],
)
def test_an_address_is_found_as_it_is_then_without_its_detail_then_as_one_of_all_others(
    address: str, found: Account | Status
) -> None:
    assert directory().find_at_once(address) == found


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"jo@example.net home", 'behind an address stands a home, like "/srv/mail/jo", or "= another address"'),
        (b"jo@example.net =", "which address does it stand for?"),
        (b"jo@example.net\njo@example.net /x", "jo@example.net stands here twice"),
        (b"@example.net", "what all the others of a domain stand for is written `@example.org = jo@example.org`"),
        (b"c@example.net\na@example.net = b@example.net", "a@example.net stands for b@example.net, who is not here"),
    ],
)
def test_a_mistake_in_the_file_is_told(line: bytes, problem: str) -> None:
    _, mistakes = read(line, "users")
    assert [one.message for one in mistakes] == [problem]
    assert mistakes[0].line == line.count(b"\n") + 1


def test_users_of_the_system_are_known_by_their_logins() -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    found = directory(b"boss@example.net = " + me.encode(), users_kind="local", domains=("example.net",))
    assert found.find_at_once(f"{me}@example.net") is None  # the names of a system may be far away
    for address in (f"{me}@example.net", f"{me}+x@Example.net", f"{me.upper()}@example.net", me, "boss@example.net"):
        assert asyncio.run(found.find(address)) == Account(me, me)
        assert found.find_at_once(address) == Account(me, me)  # and are remembered for a while
    for address in (f"{me}@example.org", "nobody-at-all@example.net"):
        assert asyncio.run(found.find(address)) == UNKNOWN
        assert found.find_at_once(address) is None  # who is not there may come


def test_a_database_says_home_and_name(tmp_path: Path) -> None:
    place = tmp_path / "users.sqlite"
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("CREATE TABLE users (address TEXT, home TEXT, name TEXT)")
        rows = [("ann@example.net", None, None), ("bo@example.net", "/srv/bo", "ann@example.net")]
        database.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
    query = "SELECT home, name FROM users WHERE address = :address AND :local <> '' AND :domain LIKE 'example.%'"
    found = directory(users_database=str(place), users_query=query)
    ann = Account("ann@example.net", "", "/srv/mail/example.net/ann", "/srv/mail")
    assert found.look_up("Ann+x@example.net") == ann
    assert found.look_up("bo@example.net") == Account("ann@example.net", "", "/srv/bo", "")
    assert found.look_up("cy@example.net") == UNKNOWN
    assert found.look_up("sales@example.net") == KIM  # the file holds as well


@pytest.mark.parametrize("query", ["SELECT nothing FROM nowhere", "SELECT"])
def test_what_cannot_be_asked_is_to_be_tried_again(tmp_path: Path, query: str) -> None:
    place = tmp_path / "users.sqlite"
    sqlite3.connect(place).close()
    found = directory(b"", users_database=str(place), users_query=query)
    assert found.look_up("jo@example.net") == Status("4.3.0", "the users can't be asked")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    found = directory(b"", users_database=str(tmp_path / "users.sqlite"))
    assert found.look_up("jo@example.net") == Status("4.3.0", "the users can't be asked")
    assert list(tmp_path.iterdir()) == []
