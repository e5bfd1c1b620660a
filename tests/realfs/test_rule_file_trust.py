"""Which files may steer a delivery: owner, mode, group, directories on the way, links, and what is no file at all."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pydeliver.system.disk import Distrust, Trusted, read_trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to other users needs root")

RULES = b'if from is "boss@example.com" { file "Work" }\n'
LIMIT = 4096
TRUSTED = ""


def private(user: pwd.struct_passwd) -> bool:
    try:
        group = grp.getgrgid(user.pw_gid)
    except KeyError:
        return False
    return user.pw_uid != 0 and group.gr_name == user.pw_name and not group.gr_mem


USERS = [user for user in pwd.getpwall() if private(user)]
BOB, EVE = USERS[0], USERS[1]


class Tree:
    """A home with a rule file as it should be, to be spoilt: paths by name, and the ways to spoil them."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.home = top / "bob"
        self.config = self.home / ".config"
        self.folder = self.config / "pydeliver"
        self.file = self.folder / "main.rules"
        self.outside = top / "outside"
        self.folder.mkdir(parents=True)
        self.outside.mkdir()
        self.file.write_bytes(RULES)
        for place in (self.home, self.config, self.folder, self.outside):
            place.chmod(0o755)
            self.give(place, BOB)
        self.file.chmod(0o644)
        self.give(self.file, BOB)

    def give(self, place: Path, user: pwd.struct_passwd | int, group: int | None = None) -> None:
        uid = user if isinstance(user, int) else user.pw_uid
        gid = group if group is not None else BOB.pw_gid
        os.chown(place, uid, gid, follow_symlinks=False)

    def move(self, target: Path, owner: pwd.struct_passwd | int = BOB, by: pwd.struct_passwd | int = BOB) -> None:
        """Put the file at `target`, owned by `owner`, and in its place a link made `by` somebody."""
        self.file.rename(target)
        self.give(target, owner)
        self.file.symlink_to(target)
        self.give(self.file, by)

    def link_folder(self, target: Path, by: pwd.struct_passwd | int = BOB) -> None:
        self.folder.rename(target)
        self.folder.symlink_to(target)
        self.give(self.folder, by)

    def replace(self, make: Callable[[Path], object]) -> None:
        self.file.unlink()
        make(self.file)
        self.give(self.file, BOB)


@pytest.fixture
def tree() -> Iterator[Tree]:
    top = Path(tempfile.mkdtemp(prefix="trust-", dir="/var/tmp"))  # not below a directory that only root may enter
    top.chmod(0o755)
    yield Tree(top)
    shutil.rmtree(top)


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def tmp_like(tree: Tree, owner: pwd.struct_passwd | None = None) -> Path:
    """Make the outside like /tmp, with a folder of `owner` in it. Returns where a rule file may lie there."""
    tree.give(tree.outside, 0)
    tree.outside.chmod(0o1777)
    if owner is None:
        return tree.outside / "rules"
    (tree.outside / "own").mkdir()
    tree.give(tree.outside / "own", owner)
    return tree.outside / "own" / "rules"


def chain(tree: Tree, length: int) -> None:
    """The file behind `length` links."""
    place = tree.folder / "real"
    tree.file.rename(place)
    for number in range(length):
        link = tree.folder / f"link{number}" if number < length - 1 else tree.file
        link.symlink_to(place)
        tree.give(link, BOB)
        place = link


CASES: dict[str, tuple[Callable[[Tree], object], str]] = {
    # the file
    "as it should be": (lambda t: None, TRUSTED),
    "for the owner alone": (lambda t: t.file.chmod(0o600), TRUSTED),
    "of root": (lambda t: t.give(t.file, 0), TRUSTED),
    "of another user": (lambda t: t.give(t.file, EVE), "owner"),
    "of a user without a name": (lambda t: t.give(t.file, 999_999), "owner"),
    "writable by everyone": (lambda t: t.file.chmod(0o666), "world-writable"),
    "writable by everyone but its owner": (lambda t: t.file.chmod(0o402), "world-writable"),
    "writable by everyone, of root": (lambda t: (t.give(t.file, 0), t.file.chmod(0o602)), "world-writable"),
    "writable by the private group": (lambda t: t.file.chmod(0o664), TRUSTED),
    "writable by root's group": (lambda t: (t.give(t.file, BOB, 0), t.file.chmod(0o664)), "group-writable"),
    "writable by another's group": (lambda t: (t.give(t.file, BOB, EVE.pw_gid), t.file.chmod(0o660)), "group-writable"),
    "readable by another's group": (lambda t: (t.give(t.file, BOB, EVE.pw_gid), t.file.chmod(0o640)), TRUSTED),
    "of root, writable by root's group": (lambda t: (t.give(t.file, 0, 0), t.file.chmod(0o664)), "group-writable"),
    "empty": (lambda t: os.truncate(t.file, 0), TRUSTED),
    "as large as the limit": (lambda t: os.truncate(t.file, LIMIT), TRUSTED),
    "one byte larger": (lambda t: os.truncate(t.file, LIMIT + 1), "too-large"),
    "a sparse gigabyte": (lambda t: os.truncate(t.file, 1 << 30), "too-large"),
    "with a second name": (lambda t: os.link(t.file, t.folder / "second"), TRUSTED),
    "absent": (lambda t: t.file.unlink(), "absent"),
    # what is no file
    "a directory": (lambda t: t.replace(Path.mkdir), "not-regular"),
    "a FIFO": (lambda t: t.replace(os.mkfifo), "not-regular"),
    "a socket": (lambda t: t.replace(listen), "not-regular"),
    "a device": (lambda t: t.replace(lambda p: os.mknod(p, 0o20644, os.makedev(1, 5))), "not-regular"),
    # the directories above it
    "folder of root": (lambda t: t.give(t.folder, 0), TRUSTED),
    "folder of another user": (lambda t: t.give(t.folder, EVE), "parent-owner"),
    "folder writable by everyone": (lambda t: t.folder.chmod(0o777), "parent-world-writable"),
    "folder writable by everyone, sticky": (lambda t: t.folder.chmod(0o1777), "parent-world-writable"),
    "folder writable by the private group": (lambda t: t.folder.chmod(0o775), TRUSTED),
    "folder writable by another's group": (
        lambda t: (t.give(t.folder, BOB, EVE.pw_gid), t.folder.chmod(0o775)),
        "parent-group-writable",
    ),
    "folder absent": (lambda t: shutil.rmtree(t.config), "absent"),
    "folder a file": (lambda t: (shutil.rmtree(t.folder), t.folder.write_text("")), "unreadable"),
    "its parent of another user": (lambda t: t.give(t.config, EVE), "parent-owner"),
    "its parent writable by everyone": (lambda t: t.config.chmod(0o757), "parent-world-writable"),
    "home of another user": (lambda t: t.give(t.home, EVE), "parent-owner"),
    "home writable by everyone": (lambda t: t.home.chmod(0o777), "parent-world-writable"),
    "home writable by another's group": (
        lambda t: (t.give(t.home, BOB, EVE.pw_gid), t.home.chmod(0o775)),
        "parent-group-writable",
    ),
    "above home writable by everyone": (lambda t: t.top.chmod(0o777), TRUSTED),
    # links
    "own link within home": (lambda t: t.move(t.home / "dotfile"), TRUSTED),
    "root's link within home": (lambda t: t.move(t.home / "dotfile", by=0), TRUSTED),
    "another's link within home": (lambda t: t.move(t.home / "dotfile", by=EVE), "link-owner"),
    "own link to another's file": (lambda t: t.move(t.home / "dotfile", owner=EVE), "owner"),
    "own link to a writable folder": (
        lambda t: (t.outside.chmod(0o777), t.move(t.outside / "rules")),
        "parent-world-writable",
    ),
    "own link out, through the temporary directory": (lambda t: t.move(t.outside / "rules"), TRUSTED),
    "own link into a directory like /tmp": (lambda t: t.move(tmp_like(t)), "parent-world-writable"),
    "own link to a folder in a directory like /tmp": (lambda t: t.move(tmp_like(t, BOB)), TRUSTED),
    "own link to another's folder in a directory like /tmp": (lambda t: t.move(tmp_like(t, EVE)), "parent-owner"),
    "own link to a link in a directory like /tmp": (
        lambda t: (t.move(t.home / "dotfile"), t.move(tmp_like(t))),
        "parent-world-writable",
    ),
    "a sticky directory above that is not root's": (lambda t: t.config.chmod(0o1777), "parent-world-writable"),
    "own link of the folder within home": (lambda t: t.link_folder(t.home / "dotfiles"), TRUSTED),
    "another's link of the folder": (lambda t: t.link_folder(t.home / "dotfiles", by=EVE), "link-owner"),
    "own relative link upwards": (
        lambda t: (
            t.move(t.home / "dotfile"),
            t.file.unlink(),
            t.file.symlink_to("../../dotfile"),
            t.give(t.file, BOB),
        ),
        TRUSTED,
    ),
    "own link to nothing": (lambda t: (t.move(t.home / "dotfile"), (t.home / "dotfile").unlink()), "unreadable"),
    "own link of the folder to nothing": (
        lambda t: (t.link_folder(t.home / "dotfiles"), shutil.rmtree(t.home / "dotfiles")),
        "unreadable",
    ),
    "own link of the folder to one without the file": (
        lambda t: (t.link_folder(t.home / "dotfiles"), (t.home / "dotfiles/main.rules").unlink()),
        "absent",
    ),
    "a link to itself": (lambda t: t.replace(lambda p: p.symlink_to(p)), "unreadable"),
    "behind a dozen links": (lambda t: chain(t, 12), TRUSTED),
    "behind more links than a kernel follows": (lambda t: chain(t, 41), "unreadable"),
    "own link to a FIFO": (lambda t: (t.replace(os.mkfifo), t.move(t.home / "dotfile")), "not-regular"),
}


@pytest.mark.parametrize(("spoil", "kind"), CASES.values(), ids=CASES)
def test_a_rule_file_is_judged_by_who_could_have_written_it(
    tree: Tree, spoil: Callable[[Tree], object], kind: str
) -> None:
    spoil(tree)
    judged = read_trusted(str(tree.file), uid=BOB.pw_uid, home=str(tree.home), limit=LIMIT)
    if kind == TRUSTED:
        assert isinstance(judged, Trusted), judged
        assert judged.data == tree.file.read_bytes()
        assert judged.mtime_ns == tree.file.stat().st_mtime_ns
    else:
        assert isinstance(judged, Distrust)
        assert judged.kind == kind
        assert judged.text


REPAIRABLE = [name for name, (_, kind) in CASES.items() if kind.endswith("-writable") and "own link" not in name]


@pytest.mark.parametrize("name", REPAIRABLE)
def test_the_repair_that_is_told_is_the_repair_that_is_needed(tree: Tree, name: str) -> None:
    CASES[name][0](tree)
    told: list[str] = []
    for _ in range(3):
        judged = read_trusted(str(tree.file), uid=BOB.pw_uid, home=str(tree.home), limit=LIMIT)
        if isinstance(judged, Trusted):
            break
        assert judged.path.startswith(str(tree.top))  # no repair is run on anything but this tree
        told.append(judged.repair)
        subprocess.run(["/bin/sh", "-c", judged.repair], check=True)
    assert told
    assert isinstance(judged, Trusted), told


def test_a_home_that_is_itself_a_link_is_judged_where_it_is(tree: Tree) -> None:
    home = tree.top / "home-of-bob"
    home.symlink_to(tree.home)
    judged = read_trusted(str(home / ".config/pydeliver/main.rules"), uid=BOB.pw_uid, home=str(home))
    assert isinstance(judged, Trusted)
    tree.home.chmod(0o777)
    judged = read_trusted(str(home / ".config/pydeliver/main.rules"), uid=BOB.pw_uid, home=str(home))
    assert isinstance(judged, Distrust)
    assert judged.kind == "parent-world-writable"


def test_a_file_outside_home_is_judged_up_to_the_root(tree: Tree) -> None:
    place = tree.outside / "site.rules"
    place.write_bytes(RULES)
    judged = read_trusted(str(place), uid=BOB.pw_uid, home=str(tree.home))
    assert isinstance(judged, Trusted)
    tree.top.chmod(0o777)
    judged = read_trusted(str(place), uid=BOB.pw_uid, home=str(tree.home))
    assert isinstance(judged, Distrust)
    assert (judged.kind, judged.path) == ("parent-world-writable", str(tree.top))


def test_the_table_holds_at_least_forty_combinations() -> None:
    assert len(CASES) >= 40
