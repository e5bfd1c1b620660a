"""`quarantine`: discarded mail, listed, shown, released, purged."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import Any, NoReturn
from unicodedata import combining, east_asian_width

import click

from pydeliver.agent import quarantine
from pydeliver.agent.quarantine import Kept
from pydeliver.cli import options
from pydeliver.cli.commands import shell
from pydeliver.mail.words import visible
from pydeliver.status import Status

DAY = 86400
SHOWN = ("from", "to", "cc", "date", "subject", "message-id")
GAP = "  "
NARROW = 8  # columns that a text has at least


@click.group("quarantine")
def group() -> None:
    """Discarded mail: what is there, and how to get it back.

    \b
    Example:
      pydeliver quarantine list
      pydeliver quarantine release 3fa2b1
      pydeliver quarantine purge --older 3
    """


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
@shell.given((options.CONFIG,))
def list_(as_json: bool, config: str | None) -> None:
    """List what is in the quarantine, the newest last.

    \b
    Example:
      pydeliver quarantine list
    """
    home = shell.home()
    found = _listed()
    store = quarantine.store_of(home, shell.site(home, None, config)) if found else None
    seconds = None if store is None or isinstance(store, Status) else store.kept_seconds
    length = quarantine.short_id(found)
    rows, facts = [], []
    for entry in found:
        try:
            with quarantine.opened(entry) as kept:
                if as_json:
                    facts.append(_facts(kept, seconds))
                else:
                    rows.append(_row(kept, length))
        except FileNotFoundError:  # released or removed meanwhile
            continue
        except OSError as error:
            _fail(f"{entry.path}: {error.strerror}")
    for fact in facts:
        click.echo(json.dumps(fact, ensure_ascii=False))
    if as_json:
        return
    for line in _table(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else 0):
        click.echo(line)
    click.echo(_sum([one.size for one in found], found[0].moment if found else 0, seconds))


@group.command()
@click.argument("message", metavar="ID")
@click.option("--raw", is_flag=True, help="The bytes as they were received.")
def show(message: str, raw: bool) -> None:
    """Show one message: its header and its text.

    \b
    Example:
      pydeliver quarantine show 3fa2b1
      pydeliver quarantine show 3fa2b1 --raw > message.eml
    """
    (entry,) = _called((message,))
    try:
        with quarantine.opened(entry) as kept:
            if raw:
                for chunk in kept.message.chunks():
                    sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            else:
                click.echo("\n".join(_text(kept)))
    except BrokenPipeError:  # whoever reads along has seen enough
        raise
    except OSError as error:
        _fail(f"{entry.path}: {error.strerror}")


@group.command()
@click.argument("messages", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that is in the quarantine.")
@click.option(
    "--to", "mailbox", metavar="MAILBOX", default=quarantine.INBOX, help="Another mailbox than the default one."
)
@shell.given((options.CONFIG,))
def release(messages: tuple[str, ...], every: bool, mailbox: str, config: str | None) -> None:
    """Put messages into the default mailbox, as they were received, and take them out of the quarantine.

    \b
    Example:
      pydeliver quarantine release 3fa2b1
      pydeliver quarantine release --all --to Work

    Leaves with 66 if any could not be released.
    """
    if bool(messages) == every:
        shell.usage("say which: ids, as `pydeliver quarantine list` shows them, or --all")
    home = shell.home()
    chosen = _listed() if every else _called(messages)
    store = quarantine.store_of(home, shell.site(home, None, config))
    if isinstance(store, Status):
        _fail(store.text)
    failed = False
    for entry in chosen:
        status = quarantine.release(entry, home, store, mailbox)
        failed = failed or not status.ok
        click.echo(f"{entry.id[: quarantine.SHORT_ID]}: {visible(status.text)}", err=not status.ok)
    sys.exit(shell.NO_INPUT if failed else 0)


@group.command()
@click.argument("messages", metavar="[ID]...", nargs=-1)
@click.option("--older", type=click.FloatRange(min=0), metavar="DAYS", help="What was discarded so long ago.")
@click.option("--all", "every", is_flag=True, help="All that is in the quarantine.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(messages: tuple[str, ...], older: float | None, every: bool, yes: bool) -> None:
    """Remove messages from the quarantine for good.

    \b
    Example:
      pydeliver quarantine purge 3fa2b1
      pydeliver quarantine purge --older 3
      pydeliver quarantine purge --all --yes
    """
    if bool(messages) + (older is not None) + every != 1:
        shell.usage("say which: ids, as `pydeliver quarantine list` shows them, --older DAYS, or --all")
    chosen = _called(messages) if messages else _listed()
    if older is not None:
        horizon = time.time() - older * DAY
        chosen = [one for one in chosen if one.moment <= horizon]
    if every and chosen and not yes:
        click.confirm(f"Remove {shell.counted(len(chosen), 'message')} for good?", abort=True, err=True)
    try:
        click.echo(f"removed {shell.counted(quarantine.purge(chosen), 'message')}")
    except OSError as error:
        _fail(f"the quarantine: {error.strerror}")


# -- which messages --


def _listed() -> list[Any]:
    try:
        return quarantine.listed(shell.home())
    except OSError as error:
        _fail(f"the quarantine: {error.strerror}")


def _called(ids: tuple[str, ...]) -> list[Any]:
    found = quarantine.called(ids, _listed())
    if isinstance(found, str):
        _fail(visible(found))
    return found


def _fail(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(shell.NO_INPUT)


# -- how they are shown --


def _first(kept: Kept, name: str) -> str:
    return visible(next(iter(kept.message.texts(name)), ""))


def _facts(kept: Kept, seconds: int | None) -> dict[str, object]:
    moment = kept.entry.moment
    return {
        "id": kept.entry.id,
        "discarded": _utc(moment),
        "goes": None if seconds is None else _utc(moment + seconds),
        "size": kept.size,
        "whole": kept.whole,
        "from": _first(kept, "from"),
        "subject": _first(kept, "subject"),
        "message-id": _first(kept, "message-id"),
        "why": visible(kept.why),
        "path": kept.entry.path,
    }


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _row(kept: Kept, length: int) -> tuple[str, ...]:
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.entry.moment))
    why = visible(kept.why).removeprefix("by ") + ("" if kept.whole else "; header only")
    texts = [" ".join(text.split()) for text in (_first(kept, "from"), _first(kept, "subject"), why)]
    return (kept.entry.id[:length], date, _bytes(kept.size), *texts)


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"


def _table(rows: list[tuple[str, ...]], columns: int) -> list[str]:
    """The rows in columns, the last three cut so that a row fits; 0 columns: nothing is cut."""
    if not rows:
        return []
    widths = [max([_width(row[number]) for row in rows]) for number in range(6)]
    room = columns - sum(widths[:3]) - len(GAP) * 5
    if columns and sum(widths[3:]) > room:
        # Who and why get what they need up to a share; the subject gets the rest.
        widths[3] = min(widths[3], max(NARROW, room * 3 // 10))
        widths[5] = min(widths[5], max(NARROW, room * 3 // 10))
        widths[4] = min(widths[4], max(NARROW, room - widths[3] - widths[5]))
    lines = []
    for row in rows:
        cells = [_fitted(text, width) for text, width in zip(row, widths, strict=True)]
        cells[2] = row[2].rjust(widths[2])
        line = GAP.join(cells).rstrip()
        lines.append(_fitted(line, columns).rstrip() if columns else line)
    return lines


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum([0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text])


def _fitted(text: str, width: int) -> str:
    """The text in just so many columns, cut or filled up."""
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[: min(len(text) - 1, width)]
        text += "…"
    return text + " " * (width - _width(text))


def _sum(sizes: list[int], oldest: float, seconds: int | None) -> str:
    if not sizes:
        return "the quarantine is empty"
    told = f"{shell.counted(len(sizes), 'message')}, {_bytes(sum(sizes))}"
    if seconds is None:
        return told
    goes = oldest + seconds
    if goes <= time.time():
        return f"{told}; the oldest goes with the next message that is discarded"
    return f"{told}; the oldest goes on {time.strftime('%Y-%m-%d', time.localtime(goes))}"


def _text(kept: Kept) -> list[str]:
    """The fields that a reader shows, and the text."""
    when = kept.note.when if kept.note else _utc(kept.entry.moment)
    lines = [shell.style(f"Discarded: {when}{', ' * bool(kept.why)}{visible(kept.why)}", "title")]
    if not kept.whole:
        lines.append(shell.style(f"Only the header was kept of its {_bytes(kept.size)}.", "warning"))
    for name in SHOWN:
        lines += [
            f"{name.capitalize() if name != 'message-id' else 'Message-ID'}: {visible(text)}"
            for text in kept.message.texts(name)
        ]
    for part in kept.message.body() if kept.whole else ():
        lines += ["", *[visible(line) for line in part.split("\n")]]
    return lines
