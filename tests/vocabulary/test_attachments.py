"""Attachments: every way to give one a name, to hide its type or to pack it, and `any attachment where`."""

from __future__ import annotations

import base64
import io
import zipfile

import pytest

from pydeliver.mail.archive import NAMES
from pydeliver.mail.envelope import Envelope
from pydeliver.mail.message import Message
from pydeliver.vocabulary import family
from pydeliver.vocabulary.attachments import attachments
from pydeliver.vocabulary.word import HERE, Facts, Field
from tests.rules import holds, judge, plan, shown

PROGRAM = "application/vnd.microsoft.portable-executable"
MZ = b"MZ\x90\0\x03\0\0\0"


def attached(*fields: str, content: bytes = b"x") -> bytes:
    """A part with these fields; the content in base64."""
    head = "".join([f"{field}\n" for field in fields])
    return f"{head}Content-Transfer-Encoding: base64\n\n".encode() + base64.encodebytes(content)


def named(name: str, content: bytes = b"x") -> bytes:
    return attached(f'Content-Disposition: attachment; filename="{name}"', content=content)


def mail(*parts: bytes, boundary: str = "b") -> bytes:
    """A message of parts, the first of them a text."""
    head = f"Content-Type: multipart/mixed; boundary={boundary}\n\n".encode()
    line = f"--{boundary}\n".encode()
    body = b"".join([line + part + b"\n" for part in (b"\nGood morning.\n", *parts)])
    return head + body + f"--{boundary}--\n".encode()


def forwarded(message: bytes) -> bytes:
    return b"Content-Type: message/rfc822\n\n" + message


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, b"x")
    return file.getvalue()


def facts(message: bytes) -> Facts:
    return Facts(Envelope(), Message.of(message), {}, {})


def values(word: str, message: bytes, part: int = -1) -> tuple[object, ...]:
    field = family("attachments")[word]
    assert isinstance(field, Field)
    about = facts(message)
    about.part = part
    return tuple(field.read(about, "" if part < 0 else HERE))


TWO = mail(
    attached('Content-Type: application/pdf; name="a.pdf"', content=b"%PDF-1.7\n"),
    named("b.tar.GZ", b"x" * 3_000),
)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("attachment", ("a.pdf", "b.tar.GZ")),
        ("attachment.name", ("a.pdf", "b.tar.GZ")),
        ("attachment.extension", ("pdf", "gz")),
        ("attachment.type", ("application/pdf", "text/plain")),
        ("attachment.size", (9, 3_000)),
        ("attachment.inner.name", ()),
        ("attachment.encrypted", ()),
    ],
)
def test_what_a_field_reads(word: str, found: tuple[object, ...]) -> None:
    assert values(word, TWO) == found
    assert values(word, TWO, 0) + values(word, TWO, 1) == found
    assert values(word, TWO, 2) == ()


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ("attachment exists", True),
        ("count attachment is 2", True),
        ("count attachment > 2", False),
        ('attachment.name is "A.PDF"', True),
        ('attachment.name like "*.tar.gz"', True),
        ('attachment.extension is "GZ"', True),
        ('attachment.extension is "tar"', False),
        ('attachment.type is "application/pdf"', True),
        ("attachment.size > 2 KB", True),
        ("attachment.size > 3 KB", False),
        ("attachment.inner.name exists", False),
        ("attachment.encrypted", False),
        ('any attachment where name ends with ".pdf" and size < 1 KB', True),
        ('any attachment where name ends with ".pdf" and size > 1 KB', False),
        ('any attachment where extension is "gz" and not type is "application/pdf"', True),
        ("any attachment where size > 1 MB", False),
        ("any attachment where encrypted", False),
    ],
)
def test_a_condition_on_attachments(condition: str, outcome: bool) -> None:
    assert holds(condition, TWO) is outcome


def test_a_message_of_text_has_no_attachment() -> None:
    for message in (b"\n", b"Content-Type: text/html\n\n<p>", mail()):
        assert attachments(facts(message)) == ()
        assert holds("attachment exists", message) is False
        assert holds("any attachment where size >= 0 KB", message) is False


def test_a_message_that_is_a_file_itself_is_an_attachment() -> None:
    message = b"Content-Type: application/pdf; name=a.pdf\n\n%PDF-1.7"
    assert values("attachment.name", message) == ("a.pdf",)
    assert values("attachment.type", message) == ("application/pdf",)


def test_an_attachment_without_a_name_counts_and_has_none() -> None:
    message = mail(attached("Content-Type: image/png"), named("a"))
    assert values("attachment", message) == ("", "a")
    assert values("attachment.name", message) == ("a",)
    assert values("attachment.extension", message) == ()
    assert holds("count attachment is 2", message)


def test_an_attachment_of_two_names_counts_once() -> None:
    message = mail(attached("Content-Type: a/b; name=a.txt", "Content-Disposition: attachment; filename=b.exe"))
    assert holds("count attachment is 1", message)
    assert set(values("attachment.name", message)) == {"a.txt", "b.exe"}


def test_a_text_with_an_attachment_in_it_is_the_first() -> None:
    assert shown("{attachment.name} of {count attachment}", TWO) == "a.pdf of 2"
    (line,) = judge('if attachment.name matches /(?<stem>.+)\\.pdf$/ { log "{stem}" }\n', TWO).log
    assert line == "a"


@pytest.mark.parametrize(
    "fields",
    [
        ['Content-Disposition: attachment; filename="evil.exe"'],
        ["Content-Disposition: attachment; filename=evil.exe"],
        ['Content-Type: image/png; name="evil.exe"'],
        ["Content-Disposition: inline; filename=evil.exe", "Content-Type: text/plain"],
        ['Content-Disposition: attachment; filename="a.txt"; filename="evil.exe"'],
        ['Content-Disposition: attachment; filename="evil.exe"; filename="a.txt"'],
        ["Content-Type: image/png; name=a.png", "Content-Disposition: attachment; filename=evil.exe"],
        ["Content-Disposition: attachment; filename=a.png", "Content-Type: image/png; name=evil.exe"],
        ["Content-Disposition: attachment; filename*=utf-8''evil%2Eexe"],
        ["Content-Disposition: attachment; filename=a.txt; filename*=utf-8''evil.exe"],
        # CVE-2024-39929: the name goes on in the next line
        ['Content-Disposition: attachment;\n filename*0="evil.";\n filename*1="exe"'],
        ["Content-Disposition: attachment;\n\tfilename*0*=utf-8''evil;\n\tfilename*1=.exe"],
        ["Content-Disposition: attachment; filename*1=exe; filename*0=evil."],
        ['Content-Disposition: attachment; filename="=?utf-8?B?ZXZpbC5leGU=?="'],
        ["Content-Disposition: attachment; filename==?utf-8?Q?evil=2Eexe?="],
        ['Content-Disposition: attachment; filename="evil.exe."'],
        ['Content-Disposition: attachment; filename="evil.exe . "'],
        ['Content-Disposition: attachment; filename="EVIL.EXE"'],
        ['Content-Disposition: attachment; filename="invoice.pdf.exe"'],
        ['Content-Disposition: attachment; filename="..\\\\temp.d\\\\evil.exe"'],
        ["Content-Disposition: attachment; filename*=utf-8''evil.e%E2%80%8Bxe"],
        ["Content-Disposition: attachment; filename*=utf-8''evil%E2%80%AEfdp.exe"],
        ["Content-Disposition: attachment; filename*=utf-8''evil.exe%E2%80%AC"],
    ],
)
def test_no_way_of_writing_a_name_hides_its_extension(fields: list[str]) -> None:
    for message in (mail(attached(*fields)), mail(named("a.txt"), forwarded(mail(attached(*fields), boundary="c")))):
        assert holds('attachment.extension is "exe"', message)
        assert holds('attachment.name ends with ".exe"', message)
        assert holds('any attachment where extension is "exe" and size < 1 KB', message)


@pytest.mark.parametrize("name", ["exe", "exe.", "a.exe.txt", "dir.exe/a.txt", "dir.exe\\\\a", "a.exex"])
def test_names_that_have_another_extension(name: str) -> None:
    assert holds('attachment.extension is "exe"', mail(named(name))) is False


def test_a_wrong_label_does_not_hide_a_program() -> None:
    message = mail(attached('Content-Type: image/png; name="a.png"', content=MZ))
    assert values("attachment.type", message) == ("image/png", PROGRAM)
    assert holds(f'any attachment where type is "image/png" and type is "{PROGRAM}"', message)


def test_a_right_label_is_told_once() -> None:
    assert values("attachment.type", mail(attached(f"Content-Type: {PROGRAM}", content=MZ))) == (PROGRAM,)


def test_the_names_in_an_archive_are_read_whatever_its_name_and_label() -> None:
    packed = archive("docs/readme.txt", "evil.exe.", "b.zip")
    for message in (
        mail(named("a.zip", packed)),
        mail(attached("Content-Type: image/png; name=a.png", content=packed)),
        mail(named("a.exe", MZ + bytes(1_000) + packed)),
        mail(forwarded(mail(forwarded(mail(named("a.zip", packed), boundary="d")), boundary="c"))),
    ):
        inner = values("attachment.inner.name", message)
        assert inner == ("docs/readme.txt", "evil.exe.", "evil.exe", "b.zip")
        assert holds('attachment.inner.name ends with ".exe"', message)
        assert holds('any attachment where inner.name is "evil.exe" and name is "nothing"', message) is False


def test_a_forwarded_message_is_an_attachment_and_so_are_those_in_it() -> None:
    message = mail(forwarded(mail(named("deep.exe"), boundary="c")))
    assert values("attachment", message) == ("", "deep.exe")
    assert values("attachment.type", message)[0] == "message/rfc822"


def test_an_encrypted_archive_is_told() -> None:
    packed = bytearray(archive("a.txt"))
    packed[6] |= 1
    message = mail(named("plain.zip", archive("a.txt")), named("secret.zip", bytes(packed)))
    assert holds("attachment.encrypted", message)
    assert holds('any attachment where encrypted and name is "secret.zip"', message)
    assert holds('any attachment where encrypted and name is "plain.zip"', message) is False


def test_an_archive_of_too_many_files_is_cut_and_the_notes_say_so() -> None:
    message = mail(named("a.zip", archive(*[f"{number}.txt" for number in range(NAMES + 1)])))
    verdict = judge('if attachment.inner.name is "0.txt" { keep }\n', message)
    assert verdict.notes == ("names in an archive: 1,000",)


def test_many_attachments_are_read_once() -> None:
    message = mail(*[named(f"{number}.txt") for number in range(300)])
    assert holds('any attachment where name is "299.txt" and size is 1', message)
    assert holds("count attachment is 300", message)


def test_the_example_of_every_field_compiles() -> None:
    for word in family("attachments").values():
        assert plan(f"if {word.example} {{ keep }}\n").statements  # type: ignore[union-attr]
