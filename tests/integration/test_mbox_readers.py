"""5,000 bodies made to be misread, in one mbox, read by four readers (G37): Python's, mutt, Dovecot and Perl's.

Each counts 5,000 messages, and the text it shows is the one that was sent, once mboxrd's quoting is undone. Python's
and mutt's show the bytes of the file. Dovecot speaks IMAP, so lines end in CR LF, and NUL is 0x80. Perl's Mail::Box
gives every line a bare LF, and takes one `>` away by itself, after LF only.
"""

from __future__ import annotations

import imaplib
import mailbox
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests import mutt
from tests.installation import Home
from tests.mboxes import deliver

BODIES: Final = 5_000
IMAP: Final = "/usr/lib/dovecot/imap"
PIECES: Final = [
    *(b"From ", b">From ", b">>>From ", b" From ", b"from ", b"From", b"Fromage", b"Subject: y", b"> ", b"."),
    *(b"From jo@example.org Tue Nov 14 22:13:20 2023", b"\xff\xfe", b"\xc3\xbc", b"\0", b"\t"),
    *(b"\n", b"\n", b"\n\n", b"\r", b"\r\n", b"\nFrom ", b"\n\nFrom a@b.example Tue Nov 14 22:13:20 2023\n"),
]
PERL: Final = """
use Mail::Box::Manager;
binmode STDOUT;
my $folder = Mail::Box::Manager->new->open(folder => $ARGV[0], access => 'r', lock_type => 'NONE') or die;
for ($folder->messages) {
    my $body = $_->body->string;
    print $_->get('Subject'), "\\n", length($body), "\\n", $body;
}
"""

Read = dict[bytes, bytes]  # the text by the subject


def body(number: int) -> bytes:
    chance = random.Random(number)
    made = b"".join(chance.choices(PIECES, k=chance.randrange(1, 40)))
    return made if chance.random() < 0.3 else made + b"\n"


@pytest.fixture(scope="module")
def sent() -> Read:
    return {b"n%d" % number: body(number) for number in range(BODIES)}


@pytest.fixture(scope="module")
def place(public_folder: Path, sent: Read) -> Home:
    """A home with one mbox, `Mail/box`, that holds them all."""
    home = Home.make(Path(tempfile.mkdtemp(prefix="readers-", dir=public_folder)))
    box = home.path / "Mail" / "box"
    box.parent.mkdir()
    for subject, text in sent.items():
        deliver(box, b"From: Jo <jo@example.org>\nSubject: " + subject + b"\n\n" + text, sync="none")
    home.own(box.parent)
    home.own(box)
    return home


def unquoted(data: bytes) -> bytes:
    return re.sub(rb"(^|[\r\n])>(>*From )", rb"\1\2", data)


def by_python(home: Home) -> Read:
    box = mailbox.mbox(home.path / "Mail/box", create=False)
    try:
        return parted([box.get_bytes(key) for key in box.iterkeys()])
    finally:
        box.close()


def by_mutt(home: Home) -> Read:
    """Have mutt copy all messages into a Maildir, where each is a file."""
    return parted(mutt.copied(home, home.path / "Mail/box"))


def by_dovecot(home: Home) -> Read:
    """Ask Dovecot's IMAP server for the texts; it is started already logged in, as over ssh."""
    need(IMAP)
    settings = f"""mail_location = mbox:{home.folder("dovecot")}:INBOX={home.path}/Mail/box:INDEX=MEMORY
log_path = /dev/null
ssl = no
first_valid_uid = 1
"""
    conf = home.file("dovecot.conf", settings)
    user = f"setpriv --reuid={home.uid} --regid={home.gid} --clear-groups" if home.identity else ""
    connection = imaplib.IMAP4_stream(f"exec {user} env -i USER=nobody HOME={home.path} {IMAP} -c {conf}")
    connection.select("INBOX", readonly=True)
    _, found = connection.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[TEXT])")
    connection.logout()
    parts = [part[1] for part in found if isinstance(part, tuple)]
    heads, texts = parts[::2], parts[1::2]
    return {subject(head): text for head, text in zip(heads, texts, strict=True)}


def by_perl(home: Home) -> Read:
    need("perl")
    command = ["perl", "-e", PERL, str(home.path / "Mail/box")]
    if subprocess.run(["perl", "-MMail::Box", "-e", "0"], capture_output=True, check=False).returncode:
        pytest.skip("Perl's Mail::Box is not installed")
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    read = {}
    at = 0
    while at < len(said):
        name, length, _ = said[at:].split(b"\n", 2)
        at += len(name) + len(length) + 2
        read[name] = said[at : at + int(length)]
        at += int(length)
    return read


def need(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def parted(found: list[bytes]) -> Read:
    heads = [message.partition(b"\n\n") for message in found]
    assert len({subject(head) for head, _, _ in heads}) == len(found)
    return {subject(head): text for head, _, text in heads}


def subject(head: bytes) -> bytes:
    found = re.search(rb"^Subject: (n\d+)\r?$", head, re.MULTILINE)
    assert found
    return found[1]


def whole(text: bytes) -> bytes:
    """A message that does not end in a line feed gets one."""
    return text if text.endswith(b"\n") else text + b"\n"


def over_imap(text: bytes) -> bytes:
    """Without the last line feed, which may be the empty line behind a message."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", text).replace(b"\0", b"\x80").removesuffix(b"\r\n")


def as_perl(text: bytes) -> bytes:
    """Whatever was unquoted, and where."""
    return re.sub(rb"\r+\n", b"\n", re.sub(rb"(^|[\r\n])>+(From )", rb"\1\2", text))


@pytest.mark.parametrize(
    ("read", "show"),
    [(by_python, bytes), (by_mutt, bytes), (by_dovecot, over_imap), (by_perl, as_perl)],
    ids=["Python", "mutt", "Dovecot", "Perl"],
)
def test_every_message_is_found_once_with_its_text(
    place: Home, sent: Read, read: Callable[[Home], Read], show: Callable[[bytes], bytes]
) -> None:
    found = read(place)
    assert len(found) == BODIES
    wrong = [name for name, text in sent.items() if show(unquoted(found[name])) != show(whole(text))]
    assert wrong == []
