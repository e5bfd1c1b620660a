"""A mail delivery agent that makes every mistake this package looks for: `careless.py FORMAT SYNC PATH…`.

It writes where readers look, line by line, without a lock; a name is the time alone; it takes no error for one, and
says yes. With SYNC "file" it writes to `tmp/`, syncs the file and renames it, as most agents do: nothing is wrong
with that but the directory, which it does not sync. Runs with the standard library alone, and is never imported.
"""

import os
import sys
import time

LINES = 16  # at a time


def write(path: str, flags: int, pieces: list[bytes], sync: bool) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    except OSError:
        return
    for piece in pieces:
        try:
            os.write(fd, piece)
            time.sleep(0.0005)  # others write meanwhile
        except OSError:
            continue
    if sync:
        os.fsync(fd)
    os.close(fd)


def main(form: str, sync: str, *paths: str) -> None:
    lines = sys.stdin.buffer.readlines()
    pieces = [b"".join(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]
    for path in paths:
        if form == "mbox":
            stamp = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime()).encode()
            write(path, os.O_APPEND, [b"From jo " + stamp + b"\n", *pieces, b"\n"], sync=False)
            continue
        for part in ("tmp", "new", "cur"):
            os.makedirs(f"{path}/{part}", exist_ok=True)
        name = f"{time.time()}.careless"
        if sync == "file":
            write(f"{path}/tmp/{name}", 0, pieces, sync=True)
            os.rename(f"{path}/tmp/{name}", f"{path}/new/{name}")
        else:
            write(f"{path}/new/{name}", os.O_TRUNC, pieces, sync=False)


main(*sys.argv[1:])
