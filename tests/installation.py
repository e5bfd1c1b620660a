"""An installation of pydeliver as a site has it, and homes to deliver into.

The package is copied, with what it needs, into a virtual environment that every user of this machine can read: a
checkout below /root cannot be run by the user for whom Postfix delivers. Tests may damage a copy of it.
"""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
REQUIRED: Final = ("lark", "click", "google-re2", "prometheus-client", "dnspython", "bcrypt", "pyspf")
PATIENCE: Final = 60  # seconds; a delivery that takes this long hangs
AS_ROOT: Final = os.geteuid() == 0


@dataclass(frozen=True)
class Installation:
    """A folder with a virtual environment `venv`, a site's `settings.toml` and the `launcher` that an MTA runs."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def package(self) -> Path:
        (found,) = self.folder.glob("venv/lib/python*/site-packages/pydeliver")
        return found

    @property
    def launcher(self) -> Path:
        return self.folder / "launcher"

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of `pydeliver`, as its console script starts it."""
        return [str(self.python), "-I", "-c", "from pydeliver.cli import main; main()", *map(str, arguments)]


@contextmanager
def public_folder() -> Generator[Path]:
    """A folder that every user of this machine may look into, gone afterwards.

    Neither below /tmp, where anyone may write and no site's settings are trusted, nor below root's home.
    """
    folder = Path(tempfile.mkdtemp(prefix="pydeliver-test-", dir="/var/lib" if AS_ROOT else Path.home()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_user(name: str, home: Path | None = None) -> Generator[str]:
    """A user of this machine, made by root and gone afterwards; his home is not made."""
    where = ["--home-dir", str(home)] if home else []
    subprocess.run(["useradd", "--system", "-M", "--user-group", "--shell", "/bin/sh", *where, name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["userdel", name], check=True)


def install(folder: Path, settings: str = "") -> Installation:
    """Build an installation in a new folder."""
    folder.mkdir()
    made = Installation(folder)
    subprocess.run([_interpreter(), "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    shutil.copytree(ROOT / "pydeliver", packages / "pydeliver", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "grammar" / "rules.lark", packages / "pydeliver")
    for name in REQUIRED:
        _copy_distribution(name, packages)
    subprocess.run([made.python, "-m", "compileall", "-q", packages], check=True, stdout=subprocess.DEVNULL)
    (folder / "settings.toml").write_text(settings)
    subprocess.run(
        made.command("launcher", made.launcher, "--config", folder / "settings.toml"),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return made


def _interpreter() -> Path:
    """This Python, or one of the same version that others may run too."""
    own = Path(os.path.realpath(sys.executable))
    candidates = [own, Path(f"/usr/bin/python3.{sys.version_info.minor}")]
    return next((path for path in candidates if path.exists() and _open_to_all(path)), own)


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


def _copy_distribution(name: str, packages: Path) -> None:
    for file in importlib.metadata.files(name) or ():
        source = Path(file.locate())
        if source.is_file() and ".." not in file.parts and source.suffix != ".pyc":
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


@dataclass(frozen=True)
class Home:
    """A home directory and the user it belongs to."""

    path: Path
    uid: int
    gid: int

    @classmethod
    def make(cls, path: Path, user: str | None = None) -> Home:
        """Make a home for `user`; for oneself, or for nobody where one is root, if no user is named."""
        entry = pwd.getpwnam(user or "nobody") if AS_ROOT else pwd.getpwuid(os.getuid())
        home = cls(path, entry.pw_uid, entry.pw_gid)
        home.folder(".")
        return home

    def folder(self, name: str, mode: int = 0o700) -> Path:
        made = self.path / name
        made.mkdir(parents=True, exist_ok=True)
        for place in (made, *made.parents):
            if not place.is_relative_to(self.path):
                break
            self.own(place)
        made.chmod(mode)
        return made

    def file(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        path = self.folder(os.path.dirname(name) or ".") / os.path.basename(name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.own(path)
        path.chmod(mode)
        return path

    def rules(self, text: str | bytes) -> Path:
        """Write the user's rules, as they are a minute later: a delivery waits for those that may still be written."""
        path = self.file(".config/pydeliver/main.rules", text)
        os.utime(path, (then := time.time() - 60, then))
        return path

    def own(self, path: Path) -> None:
        if AS_ROOT:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What `subprocess.run` needs to run something as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if AS_ROOT else {}

    def environment(self, **more: str) -> dict[str, str]:
        return {"HOME": str(self.path), "PATH": "/usr/bin:/bin", **more}

    def deliver(
        self,
        installation: Installation,
        message: bytes,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """Deliver a message as an MTA does: through the launcher, as the user."""
        return subprocess.run(
            [installation.launcher, *arguments],
            input=message,
            env=self.environment() if environment is None else environment,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            **{"cwd": "/", **self.identity, **options},
        )

    def messages(self) -> dict[Path, bytes]:
        """Every message that a mail reader would find in the Maildir, by its path below it."""
        maildir = self.path / "Maildir"
        found = [path for place in ("new", "cur") for path in maildir.rglob(f"{place}/*") if path.is_file()]
        return {path.relative_to(maildir): path.read_bytes() for path in found}

    def unfinished(self) -> list[Path]:
        """What was left where messages are written before they count."""
        return list(self.path.rglob("tmp/*"))
