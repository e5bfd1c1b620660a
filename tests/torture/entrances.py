"""How clients come to a server of our own: LMTP is spoken at its socket, SMTP at a port. All else is alike."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.lmtp import PATIENCE, Client, Served, free_port, listens, until
from tests.smtp import SmtpClient, listening

Entrance = Path | int  # the socket, or the port


@contextmanager
def opened(
    serve: Callable[[str], AbstractContextManager[Served]], door: str, folder: Path, settings: str = ""
) -> Generator[tuple[Served, Entrance]]:
    """Serve by these settings and those that open the door; `folder` is for what SMTP remembers."""
    port = free_port()
    with serve(settings + (listening(port, folder / "state") if door == "smtp" else "")) as running:
        entrance = port if door == "smtp" else running.path
        until(lambda: listens(entrance))
        yield running, entrance


def speaker(entrance: Entrance) -> type[Client]:
    """The client that speaks what is understood there."""
    return SmtpClient if isinstance(entrance, int) else Client


def knock(entrance: Entrance, patience: float = PATIENCE, source: str = "") -> Client:
    """A client that has said nothing yet."""
    return speaker(entrance)(entrance, patience, source)
