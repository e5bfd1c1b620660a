"""What is hidden in HTML is not seen, and no cheat hides from the rules what a person sees: in doubt it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.mail.hidden import FOLLOWED
from pydeliver.mail.html import visible

NONE = "style=display:none"


@pytest.mark.parametrize(
    "element",
    [
        "div hidden",
        "div HIDDEN=''",
        "div/hidden",
        "div style=display:none",
        "DIV STYLE='Display: NONE'",
        "div style='color:red; display : none ;'",
        "div style='display:none!important;display:block'",
        "div style='display&#58;none'",
        "div style='font-family:\"a;b\", (c;d); display:none'",
        "div style='visibility:hidden'",
        "div style='opacity:0'",
        "div style='opacity:0.01'",
        "div style='opacity:1%'",
        "div style='font-size:0'",
        "div style='font-size:0px'",
        "div style='font-size:0em'",
        "div style='font-size:1px'",
        "div style='font:0/0 a'",
        "div style='font:bold 0px/1.5 Arial,sans-serif'",
        "div style='max-height:0;overflow:hidden'",
        "div style='height:0px;overflow:hidden;padding:0;display:block'",
        "template",
        "span style=display:none",
        "unknown style=display:none",
    ],
)
def test_an_element_that_is_hidden(element: str) -> None:
    name = element.split()[0].split("/")[0]
    assert visible(f"a<{element}>x<b>y</b><img alt=z></{name}>b").split() in (["ab"], ["a", "b"])


@pytest.mark.parametrize(
    "element",
    [
        "div style=display:block",
        "div class=hidden",
        "div title=hidden style=color:red",
        "div style=color:red style=display:none",
        "div style='display:none;display:block'",
        "div style='display:none;display:block!important;display:none'",
        "div style='display:none x'",
        "div style='x:\";display:none;\"'",
        "div style='x:url(a;display:none;b)'",
        "div style='x:url(\");\\ndisplay:none;(\")'",
        "div style='d\\69splay:none'",
        'div style=\'display:none;x:"/*";display:block;y:"*/"\'',
        "div hidden style=display:block",
        "div style='font-size:12px'",
        "div style='font-size:2px'",
        "div style='font-size:-0.5px'",
        "div style='font:700 12px/0 Arial'",
        "div style='opacity:.5'",
        "div style='opacity:0x'",
        "div style='visibility:visible'",
        "div style='max-height:0'",
        "div style='max-height:0;overflow:hidden;padding-top:50px'",
        "div style='max-height:0;overflow:hidden;min-height:1em'",
        "span style='max-height:0;overflow:hidden'",
        "div style='max-height:0;overflow:hidden;display:inline'",
        "div style='max-height:0;overflow:hidden;position:absolute'",
        "div\x0bhidden",
        "div\xa0hidden",
        "div style='display:none\xa0'",
        "form style=display:none",
        "body hidden",
        "td style=display:none",
        "tr hidden",
        "svg style=display:none",
    ],
)
def test_an_element_that_is_not_hidden(element: str) -> None:
    assert "x" in visible(f"a<{element}>x</{element.split()[0]}>b")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        # what an element within can undo, and what not
        ("<div style=visibility:hidden>x<b style=visibility:visible>a</b>x</div>b", "a\nb"),
        ("<div style=font-size:0>x<b style=font-size:12px>a</b>x<b style=font-size:90%>x</b></div>b", "a\nb"),
        ("<div style=font-size:0>x<font size=4>a</font><table><tr><td>b</table>x</div>c", "a\nb\nc"),
        ("<div style=display:none>x<b style=display:block>x</b>x</div>b", "b"),
        ("<div style=opacity:0>x<b style=opacity:1>x</b>x</div>b", "b"),
        ("<div style='max-height:0;overflow:hidden'>x<p style=position:absolute>a</p>x</div>b", "a\nb"),
        # where it ends
        (f"<div {NONE}>x<div>x</div>x</div>a", "a"),
        (f"<div {NONE}>x</b>x</div>a", "a"),
        (f"<div {NONE}><br><img><hr>x</div>a", "a"),
        (f"<div><p {NONE}>x</div>a", "a"),
        (f"<p {NONE}>x<p>a", "a"),
        (f"<p {NONE}>x<div>a</div>", "a"),
        (f"<p {NONE}>x<hr>a", "a"),
        (f"<p><span {NONE}>x<div>a</div>", "a"),
        (f"<div><span {NONE}>x<div>x</div>x</span>a</div>", "a"),
        (f"<ul><li {NONE}>x<li>a</ul>", "a"),
        (f"<ul><li {NONE}>x<ul><li>x</ul>x<li>a</ul>", "a"),
        (f"<dl><dt {NONE}>x<dd>a</dl>", "a"),
        (f"<h1 {NONE}>x</h2>a", "a"),
        (f"<a {NONE}>x<a>a", "a"),
        (f"<font {NONE}><div>x</font>a</div>", "a"),
        (f"<b><div {NONE}>x</div>a</b>", "a"),
        # tables
        (f"<table><tr><td {NONE}>x<table><tr><td>x<td>x</table>x<td>a</table>", "a"),
        (f"<table><tr {NONE}><td>x<td>x<tr><td>a</table>", "a"),
        (f"<table><tr><td><div {NONE}>x<td>a</table>", "a"),
        (f"<table {NONE}><tr><td>x</table>a", "a"),
        (f"<table {NONE}>a<tr><td>x</table>", "a"),
        (f"<table {NONE}><div>a</div><tr><td>x</table>", "a"),
        (f"<table><tbody {NONE}><tr><td>x<tbody><tr><td>a</table>", "a"),
        (f"<table></table><td {NONE}>a", "a"),
        (f"<table {NONE}><table {NONE}><br>a", "a"),
        (f"<table><h1><tbody {NONE}><button {NONE}>x<table>a", "a"),
        (f"<table><td><center {NONE}><span>x</tbody>a", "a"),
        (f"<table><pre {NONE}>x<table>a", "a"),
        # what is not what it seems to be
        (f"<math>a<button {NONE}>b</math>c", "abc"),
        ("<svg><template></h1>a", "a"),
        (f"<select><h2 {NONE}><em {NONE}><option>a", "a"),
        (f"<noscript><span {NONE}>x</noscript>a", "a"),
        (f"<form><li {NONE}>x</form>a", "a"),
        (f"<p>a<option {NONE}>x<nobr></p>b", "a\nb"),
        (f"<p {NONE}>x<option {NONE}><blockquote>a", "a"),
        (f"<section {NONE}>x<colgroup><button {NONE}>x</section>a", "a"),
        # style sheets can bring back what a style hides
        (f"<style>p{{color:red}}</style><p {NONE}>x</p>a", "a"),
        (f"<style>p{{display:block!important}}</style><p {NONE}>a</p>b", "a\nb"),
        (f"<style></stylex>p{{display:block!important}}</style><p {NONE}>a</p>b", "a\nb"),
        ("<style>p{display:block!important}</style><p style='display:none !important'>x</p>b", "b"),
        (f"<link rel=stylesheet href=x><p {NONE}>a</p>", "a"),
        ("<style>p{display:block}</style><p hidden>a</p>", "a"),
        ("<style>b{font-size:9px}</style><p style=font-size:0>x<b>a</b></p>", "a"),
        ("<style>b{display:block}</style><p style=display:none>x<b>x</b></p>a", "a"),
    ],
)
def test_where_hidden_text_ends(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_what_is_nested_deeply_is_hidden_and_ends() -> None:
    deep = "<div>" * 1_000
    assert visible(f"<div hidden>{deep}x{'</div>' * 1_000}</div>a") == "a"


def test_behind_too_many_tags_in_hidden_elements_everything_is_shown() -> None:
    assert visible("<div hidden>x" + "<b></b>" * (FOLLOWED - 1) + "x</div>a") == "a"
    assert visible("<div hidden>x" + "<b></b>" * FOLLOWED + "a<div hidden>b</div></div>c") == "a\nb\nc"


@given(
    st.lists(
        st.sampled_from(["p", "div", "td", "tr", "table", "li", "ul", "a", "b", "span", "h1", "form"]), max_size=20
    )
)
def test_closed_elements_within_a_hidden_one_do_not_show_it(names: list[str]) -> None:
    inside = "".join([f"<{name}>x</{name}>" for name in names if name not in ("td", "tr")])
    assert visible(f"a<section hidden>{inside}</section>b") == "a\nb"


@given(
    st.lists(
        st.sampled_from(["p", "/p", "div", "/div", "table", "/table", "tr", "td", "/td", "li", "/ul", "ul", "b", "/b"])
    )
)
def test_text_after_the_end_of_all_that_is_open_is_shown(tags: list[str]) -> None:
    inside = "".join([f"<{tag}>" for tag in tags])
    assert visible(f"<section><i hidden>{inside}x</section>shown").endswith("shown")
