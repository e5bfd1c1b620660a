"""The one table of options: what the door parses by hand and the commands give to click.

An option means the same wherever it stands. The door reads it without click, which costs three times a delivery.
"""

from __future__ import annotations

from pydeliver.status import Value


class Option(Value):
    """`metavar` is empty for a flag; `repeated` options collect their values."""

    name: str
    flags: tuple[str, ...]
    about: str
    metavar: str = ""
    repeated: bool = False


RULES = Option("rules", ("-m", "--rules"), "Judge by this rule file instead of ~/.config/pydeliver/main.rules.", "FILE")
SENDER = Option("sender", ("-f", "--sender"), "The envelope sender; '' or <> for a bounce.", "ADDRESS")
RECIPIENT = Option("recipient", ("-r", "--recipient"), "The envelope recipient.", "ADDRESS")
DETAIL = Option(
    "detail", ("-a", "--detail"), "What stands behind the + in the recipient; further ones are arg.1 …", "TEXT", True
)
GIVEN = Option(
    "given", ("--given",), "Say what only the caller knows: env.NAME=VALUE or arg.NAME=VALUE.", "NAME=VALUE", True
)
MEMORY = Option(
    "given",
    ("--given",),
    "Say what only the caller or memory knows: env.NAME=VALUE, arg.NAME=VALUE, duplicate=yes.",
    "NAME=VALUE",
    True,
)
NOW = Option("now", ("--now",), "Judge as at this time: 2026-12-24 or 2026-12-24T18:00.", "TIME")
CONFIG = Option("config", ("--config",), "The site's settings, instead of /etc/pydeliver/settings.toml.", "FILE")
USER = Option("user", ("-d", "--user"), "Deliver for this user; needs root, and becomes that user.", "USER")

# What procmail's callers give and what means nothing here: soft failure, Content-Length, From_ lines, environment.
IGNORED = ("-t", "-Y", "-o", "-p")

DELIVER = (RULES, SENDER, RECIPIENT, DETAIL, USER, CONFIG, GIVEN)
REHEARSE = (RULES, SENDER, RECIPIENT, DETAIL, MEMORY, NOW, CONFIG)
FILTER = (RULES, SENDER, RECIPIENT, DETAIL, GIVEN, CONFIG)
