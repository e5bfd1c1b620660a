"""An address book as a list of addresses."""

from __future__ import annotations

from pydeliver.mail.vcard import addresses, is_vcard

BOOK = """BEGIN:VCARD\r
VERSION:3.0\r
FN:Mum: EMAIL me\r
item1.EMAIL;type=INTERNET;type=HOME:mum@exam\r
 ple.org\r
email:MUM@work.example\r
EMAIL;PREF=1:\r
END:VCARD\r
BEGIN:VCARD\r
NOTE:EMAIL is dad@example.org\r
X-EMAIL:no@example.org\r
EMAIL;VALUE=uri:mailto:dad@example.org\r
END:VCARD\r
"""


def test_every_address_of_every_card_is_found() -> None:
    assert addresses(BOOK) == ["mum@example.org", "MUM@work.example", "dad@example.org"]
    assert addresses(BOOK.replace("\r", "")) == addresses(BOOK)


def test_an_address_book_is_told_from_a_plain_list() -> None:
    assert is_vcard(BOOK)
    assert is_vcard("\ufeff\nbegin:vcard\n")
    assert not is_vcard("mum@example.org\nBEGIN:VCARD\n")
    assert not is_vcard("")
