"""Virtual users in a database: one query, asked with an address.

SQLite is there without more; PostgreSQL and MySQL by their drivers, where the site has installed them (PEP 249). The
query names what it is asked with: `:address`, `:local`, `:domain`. Its first row is the home ("" or NULL: the one by
the template) and, where there is a second column, what the user is called.
"""

from __future__ import annotations

import re
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMED = re.compile(r":(address|local|domain)\b")


class Database:
    """A connection for each thread that asks; one that broke is made anew once. SQLite's is made for each question:

    that costs little, and a file that was replaced by another is seen.
    """

    def __init__(self, place: str, query: str) -> None:
        self._place = place
        self._query = query if "://" not in place else _NAMED.sub(r"%(\1)s", query)
        self._keeps = "://" in place
        self._connections = threading.local()

    def find(self, address: str, local: str, domain: str) -> tuple[str, str] | None:
        """Home and name of a user, "" where the row says neither; None for nobody. Raises what the driver raises."""
        asked = {"address": address, "local": local, "domain": domain}
        held = getattr(self._connections, "one", None)
        try:
            row = self._asked(held or self._connect(), asked)
        except Exception:
            self._connections.one = None
            if held is None:
                raise
            row = self._asked(self._connect(), asked)
        if row is None:
            return None
        home, *rest = [str(value or "") for value in row]
        return home, rest[0] if rest else ""

    def _asked(self, connection: Any, asked: dict[str, str]) -> Any:
        cursor = connection.cursor()
        try:
            cursor.execute(self._query, asked)
            return cursor.fetchone()
        finally:
            cursor.close()
            if self._keeps:
                connection.rollback()  # what was read is not kept from changing
            else:
                connection.close()

    def _connect(self) -> Any:
        connection = _connected(self._place)
        if self._keeps:
            self._connections.one = connection
        return connection


def _connected(place: str) -> Any:
    if place.startswith(("postgresql://", "postgres://")):
        import psycopg

        return psycopg.connect(place, connect_timeout=10)
    if place.startswith("mysql://"):
        from urllib.parse import unquote, urlsplit

        import pymysql

        parts = urlsplit(place)
        return pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.lstrip("/"),
            connect_timeout=10,
            read_timeout=30,
        )
    import sqlite3
    from urllib.parse import quote

    return sqlite3.connect(f"file:{quote(place)}?mode=ro", uri=True, timeout=10)
