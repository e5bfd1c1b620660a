"""The type of a file by its first bytes: files as programs write them, and texts that only look like a sign."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import sys
import tarfile
import wave
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail import content
from pydeliver.mail.content import PROGRAM, kind

OFFICE = "application/vnd.openxmlformats-officedocument"
OPEN = "application/vnd.oasis.opendocument.text"


def packed(*names: str, first: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), first)
    return file.getvalue()


def sounds() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 1, 8_000, 1, "NONE", ""))
        made.writeframes(b"x")
    return file.getvalue()


def archived() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        made.addfile(tarfile.TarInfo("a"))
    return file.getvalue()


def test_programs_of_this_system_are_programs() -> None:
    assert kind(Path(sys.executable).resolve().read_bytes()[: content.BYTES]) == "application/x-executable"


def test_a_database_is_one(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db") as made:
        made.execute("create table a (b)")
    assert kind((tmp_path / "db").read_bytes()) == "application/vnd.sqlite3"


@pytest.mark.parametrize(
    ("data", "type_"),
    [
        (b"MZ\x90\0\x03\0\0\0", PROGRAM),
        (b"\x7fELF\x02\x01\x01", "application/x-executable"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34", "application/java-vm"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", "application/x-mach-binary"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\x01", "application/x-mach-binary"),
        (bytes.fromhex("4c0000000114020000000000c000000000000046"), "application/x-ms-shortcut"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 100, "application/x-ole-storage"),
        (b"#!/bin/sh\n", "text/x-script"),
        (b"@echo off\r\n", "application/x-bat"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"junk in front\n%PDF-1.7\n", "application/pdf"),
        (b"{\\rtf1\\ansi", "application/rtf"),
        (b"%!PS-Adobe-3.0", "application/postscript"),
        (packed("a"), "application/zip"),
        (packed(), "application/zip"),
        (packed("[Content_Types].xml", "word/document.xml"), f"{OFFICE}.wordprocessingml.document"),
        (packed("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet"),
        (packed("META-INF/MANIFEST.MF", "A.class"), "application/java-archive"),
        (packed("mimetype", first=OPEN.encode()), OPEN),
        (packed("mimetype", first=b"\xff\n"), "application/zip"),
        (gzip.compress(b"x", mtime=0), "application/gzip"),
        (bz2.compress(b"x"), "application/x-bzip2"),
        (lzma.compress(b"x"), "application/x-xz"),
        (archived(), "application/x-tar"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "application/x-7z-compressed"),
        (b"Rar!\x1a\x07\x01\0", "application/vnd.rar"),
        (bytes(32_769) + b"CD001\x01", "application/vnd.efi.iso"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"GIF89a\x01\0", "image/gif"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "image/bmp"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x18ftypheic", "image/heif"),
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"<?xml version='1.0'?><svg onload='x'/>", "image/svg+xml"),
        (b"<?xml version='1.0'?><a/>", "text/xml"),
        (b"\xef\xbb\xbf \r\n<!DocType html><p>", "text/html"),
        (b"<script>x", "text/html"),
        (b"<!-- x --><p>", "text/html"),
        (sounds(), "audio/vnd.wave"),
        (b"Received: from a by b\r\n", "message/rfc822"),
        (b"BEGIN:VCARD\r\n", "text/vcard"),
    ],
)
def test_the_type_of_a_file(data: bytes, type_: str) -> None:
    assert kind(data) == type_


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "MZ is how a program begins, as everyone knows who has ever looked at one; this is a text.",
        "BM, BZh and RIFF are signs too",
        "CWS is a sign of Flash",
        "<scripture> is no tag of HTML",
        "<pre-release>",
        "<!doctype plist>",
        "BEGIN:VCARDS",
        "PK",
        "Subject matter of a text: not a message",
    ],
)
def test_a_text_tells_nothing(text: str) -> None:
    assert kind(text.encode()) == ""


@given(st.text(st.characters(categories=["L", "Zs"])))
def test_letters_are_never_taken_for_a_file(text: str) -> None:
    assert kind(text.encode()) == ""


@given(st.binary(), st.sampled_from([b"", b"PK\x03\x04", b"RIFF", b"BM", b"MZ", b"<?xml", b"\xca\xfe\xba\xbe"]))
def test_nothing_is_raised(data: bytes, sign: bytes) -> None:
    found = kind(sign + data)
    assert found == "" or found.count("/") == 1
