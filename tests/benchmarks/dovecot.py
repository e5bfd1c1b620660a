"""A Dovecot of its own that takes mail by LMTP and sorts it by Sieve: configuration, mail and log in one folder.

Needs root, as Dovecot does. Started as one process in the foreground, and ended by its own process id.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.lmtp import PATIENCE, end_family, free_port, listens, until

CONF = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = lmtp
ssl = no
first_valid_uid = 1
mail_location = maildir:~/Dovecot:LAYOUT=fs
mail_fsync = optimized
passdb {{
  driver = static
  args = nopassword=y
}}
{userdb}
service lmtp {{
  process_min_avail = 2
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
protocol lmtp {{
  mail_plugins = sieve
}}
plugin {{
  sieve = file:{folder}/rules.sieve
}}
"""
VIRTUAL = """
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={folder}/mail/%d/%n allow_all_users=yes
}}
"""
LOCAL = """
auth_username_format = %n
userdb {
  driver = passwd
}
"""


@contextmanager
def dovecot(folder: Path, rules: Path, owner: str = "") -> Generator[tuple[int, int]]:
    """Its port and its process; virtual users belong to `owner`, without one there are users of the system."""
    port = free_port()
    userdb = VIRTUAL.format(owner=owner, folder=folder) if owner else LOCAL
    (folder / "dovecot.conf").write_text(CONF.format(folder=folder, userdb=userdb, port=port))
    (folder / "rules.sieve").write_bytes(rules.read_bytes())
    subprocess.run(["sievec", "-c", folder / "dovecot.conf", folder / "rules.sieve"], check=True)
    (folder / "rules.svbin").chmod(0o644)
    process = subprocess.Popen(["dovecot", "-F", "-c", folder / "dovecot.conf"])
    try:
        until(lambda: listens(port))
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)
        end_family(process.pid)
