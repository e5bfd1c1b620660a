"""HTML reduced to what a person sees: markup cut as browsers cut it, nothing raised, no text of the reader lost."""

from __future__ import annotations

from html.entities import html5

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydeliver.mail.html import visible

FRAGMENTS = (
    """< > </ /> <!-- --> --!> <! <? & ; &# &#x = " ' amp <p <div~hidden </div <td <table <style </style <svg"""
    """ <template <a~b=' <x/y=z style= display:none font:0/0~a <li <textarea </textarea <plaintext <img~alt= <script"""
    """ </script <![CDATA[ ]]>"""
).split()
MARKUP = st.lists(
    st.one_of(
        st.sampled_from([fragment.replace("~", " ") for fragment in FRAGMENTS]),
        st.sampled_from([" ", "\n", "\0", "\x85", "\u2028"]),
        st.text(max_size=5),
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        # words
        ("V<b></b>iagra", "Viagra"),
        ("V<span class='x'>i</span>agra", "Viagra"),
        ("V<!-- x -->iagra", "Viagra"),
        ("V<unknown>iagra", "Viagra"),
        ("V<wbr>i\0agra", "Viagra"),
        ("Hello <b>Bob</b>, well", "Hello Bob, well"),
        ("  a \r\n\t b\xa0 c ", "a b c"),
        # lines and cells
        ("one<p>two</p>three", "one\ntwo\nthree"),
        ("one<br>two<BR/>three<br />four</br>five", "one\ntwo\nthree\nfour\nfive"),
        ("<ul><li>one<li>two</ul>three", "one\ntwo\nthree"),
        ("<table><tr><td>one</td><td>two</td><th>three<tr><td>four</table>five", "one two three\nfour\nfive"),
        ("a<hr>b<h1>c</h1>d<div>e</div>f", "a\nb\nc\nd\ne\nf"),
        # images
        ('<img src="x" alt="I &amp; you">!', "I & you !"),
        ("<img alt=Sale><img src=x alt=''>Now", "Sale Now"),
        # comments
        ("a<!-->b<!--->c<!-- > -- --!>d<!---->e", "abcde"),
        ("a<!--[if mso]><p>Outlook</p><![endif]-->b", "ab"),
        ("a<!--[if !mso]><!-->others<!--<![endif]-->b", "aothersb"),
        ("a<![if !mso]>others<![endif]>b", "aothersb"),
        ("a<!DOCTYPE html><?xml version='1.0'?>b</>c</ d>e", "abce"),
        ("a<!-- never ended <p>b", "a"),
        # what is never shown
        ("<head><title>T</title><style>p{}</style></head><body>b", "b"),
        ("<head>shown all the same", "shown all the same"),
        ("a<script>if (b</c) {'</scriptx>'}</script >b<STYLE>x</style\n>c", "abc"),
        ("a<style>b</STYLE/>c<iframe>d</iframe>e<noframes>f</noframes>g", "aceg"),
        ("a<script>never ended", "a"),
        ("<noscript>no scripts in mail</noscript>", "no scripts in mail"),
        ("a<textarea><b>&amp;</textarea>b", "a\n<b>&\nb"),
        ("a<xmp><b>&amp;</xmp>b", "a\n<b>&amp;\nb"),
        ("a<plaintext>b<p>&amp;", "a\nb<p>&amp;"),
        ("<svg><style>a<p>b</svg><svg><text><![CDATA[c]]></text></svg>", "a\nbc]]>"),
        # what is no tag
        ("1 < 2 <3 <> <é> 4 > 3", "1 < 2 <3 <> <é> 4 > 3"),
        ("a <", "a <"),
        ("a </", "a </"),
        # where a tag ends
        ('<a title="x>y">z', "z"),
        ("<a title='x>y' b=\"'>\">z", "z"),
        ('<a b"c>d">e', 'd">e'),
        ('<a ="b>c">d', 'c">d'),
        ('<a = "b>c">d', 'c">d'),
        ('<a b = "c>d">e', "e"),
        ('<a b=c"d>e">f', 'e">f'),
        ('<a b=c=">d', "d"),
        ('<a b=""c=">">d', "d"),
        ('<a/b="c>d"/>e', "e"),
        ('<a b/="c>d">e', 'd">e'),
        ("<a b>=c", "=c"),
        ("<a b=>c", "c"),
        ("a<b c", "a"),
        ('a<b c="never ended>b', "a"),
        ("a</p title='>'>b", "a\nb"),
        # references
        ("&lt;b&gt; &amp;amp; &quot;&apos;&copy;", "<b> &amp; \"'©"),
        ("&#65;&#x42;&#X43&#68 &#0000069;", "ABCD E"),
        ("&#128;&#150;&#x81;", "€–\x81"),
        ("&#0;&#xD800;&#x110000;&#99999999999999999999;", "\ufffd" * 4),
        ("AT&T R&D a&b &; && &# &#x; &#xg;", "AT&T R&D a&b &; && &# &#x; &#xg;"),
        ("&notit; &notin; &copy2026 &Eacute &hearts; &nosuch;", "¬it; ∉ ©2026 É ♥ &nosuch;"),
        ("V&#105;agr&#x61 &am<b></b>p;", "Viagra &amp;"),
    ],
)
def test_what_a_person_sees(text: str, seen: str) -> None:
    assert visible(text) == seen


@pytest.mark.parametrize("name", ["amp", "nbsp", "Auml", "szlig", "euro"])
def test_common_references_are_what_the_standard_says(name: str) -> None:
    assert visible(f"a&{name};b") == " ".join(f"a{html5[name + ';']}b".split())


def test_every_reference_of_the_standard_is_decoded() -> None:
    for name, character in html5.items():
        assert visible(f"a&{name} b") == " ".join(f"a{character} b".split()), name


def test_a_reference_without_a_semicolon_takes_no_letter_too_many() -> None:
    assert visible("&ampamp;") == "&amp;"
    assert visible("&" + "a" * 100) == "&" + "a" * 100


@given(st.text(alphabet=st.characters(exclude_characters="<&\0", exclude_categories=["Cs"])))
def test_text_without_markup_stays_what_it_is(text: str) -> None:
    assert visible(text).split() == text.split()


@given(st.text(alphabet=st.characters(exclude_characters="<&\0", exclude_categories=["Cs"])))
def test_text_that_is_escaped_is_read_as_it_was_written(text: str) -> None:
    escaped = "".join([f"&#{ord(character)};" if not character.isascii() else character for character in text])
    if not any(0x7F < ord(character) < 0xA0 for character in text):
        assert visible(escaped).split() == text.split()


@given(MARKUP)
@example("<a b>=")
@example("<a b=")
@example("<a b= ")
def test_nothing_is_raised_and_lines_are_folded(text: str) -> None:
    for line in visible(text).split("\n"):
        assert line == " ".join(line.split())


@given(MARKUP, MARKUP)
def test_a_comment_changes_nothing_but_where_it_stands(before: str, after: str) -> None:
    whole = f"<p>{before.replace('<', '')}<!-- x --></p>{after.replace('<', '')}"
    assert visible(whole) == visible(whole.replace("<!-- x -->", ""))
