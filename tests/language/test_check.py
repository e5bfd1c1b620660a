"""Shadowed rules: what is proven, what must not be, and that no message reaches a rule that is told to be shadowed."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pydeliver import vocabulary
from pydeliver.language.check import MAX_PAIRS, ends, implies, shadowed
from pydeliver.language.load import compile_rules
from pydeliver.mail.envelope import Envelope
from tests.rules import PATH, Library, World, boxes, judged, plan

if TYPE_CHECKING:
    from pydeliver.plan import Node

# What a message satisfies, and what it surely satisfies then.
PROVEN = [
    ("size > 1", "size > 1"),
    ('from is "a@b.c"', 'from is "A@B.C"'),
    ('from is "a@b.c"', 'from in "x@b.c", "a@b.c"'),
    ('from in "a@b.c", "x@b.c"', 'from is "x@b.c", "a@b.c"'),
    ('from is "Ann <a@b.c>"', 'from is "a@b.c"'),
    ('from is "a@b.c"', 'from ends with "@b.c"'),
    ('from is "a@b.c"', 'from starts with "a@"'),
    ('from contains "ann smith"', 'from contains "SMITH"'),
    ('from.domain is "b.c"', 'from.domain contains "."'),
    ('subject is "invoice 12"', 'subject contains "invoice"'),
    ('subject starts with "invoice 12"', 'subject starts with "invoice"'),
    ('subject starts with "invoice 12"', 'subject contains "voice"'),
    ('subject ends with "invoice 12"', 'subject ends with "12", "13"'),
    ('subject contains "invoice", "voices"', 'subject contains "voice"'),
    ('subject contains exactly "Invoice"', 'subject contains "invoice"'),
    ('subject is exactly "Invoice"', 'subject starts with exactly "Inv"'),
    ('subject like "a*"', 'subject like "b*", "a*"'),
    ("subject matches /a/", "subject matches /a/"),
    ("subject matches /a/", "subject exists"),
    ('header "X-A" is "1"', 'header "x-a" exists'),
    ('header "X" > 5', 'header "X" > 4'),
    ('header "X" > 5', 'header "X" exists'),
    ("size < 1 KB", "size < 1 MB"),
    ("size < 1 KB", "size <= 1 KB"),
    ("size is 5", "size in 1..5"),
    ("size in 2..4", "size in 1..5"),
    ("size in 1..2, 8..9", "size in 1..3, 7..9"),
    ("size in 2..4", "size > 1"),
    ("size is 5, 6", "size >= 5"),
    ("age > 2 days", "age > 1 day"),
    ("count to > 3", "count to >= 3"),
    ("now.hour in 9..12", "now.hour in 9..17"),
    ("env.A in 192.0.2.0/24", "env.A in 192.0.2.0/24, 2001:db8::/32"),
    ('subject is "a" and size > 1', 'subject is "a"'),
    ('subject is "a" and size > 1', 'size > 0 and subject is "a"'),
    ('subject is "a"', 'subject is "a" or size > 1'),
    ('subject is "a" or subject is "b"', 'subject is "b", "a"'),
    ("size > 3 or size < 1", "size > 2 or size < 2"),
    ("not size > 1", "not size > 2"),
    ('subject is not "a", "b"', 'subject is not "a"'),
    ('not (subject contains "a" or size > 9)', 'subject is not "ab"'),
    ('not (subject is "a" and size > 9)', 'not (subject is "a" and size > 10)'),
]

# What may be true of one message and not be of another.
UNPROVEN = [
    ("size > 1", "size > 2"),
    ("size >= 2", "size > 2"),
    ("size in 1..5", "size in 1..2, 4..5"),
    ("size < 1 MB", "size in 0..1"),
    ("size is 5, 9", "size < 6"),
    ("age > 1 day", "age > 1 week"),
    ("count to > 3", "count cc > 3"),
    ('header "A" exists', 'header "B" exists'),
    ('header "A" is "10"', 'header "A" > 20'),
    ('from is "a@b.c"', 'sender is "a@b.c"'),
    ('from is "a@b.c"', 'from is "a@b.d"'),
    ('from in "a@b.c", "x@b.c"', 'from is "a@b.c"'),
    ('from contains "a@b.c"', 'from is "a@b.c"'),
    ('from is "a@b.c"', 'from contains "a@b.c"'),  # `a @ b.c` is this address, too
    ('from contains "b.c"', 'from ends with "b.c"'),
    ('from ends with "b.c"', 'from ends with "@b.c"'),
    ('subject contains "voice"', 'subject contains "invoice"'),
    ('subject contains "invoice"', 'subject starts with "invoice"'),
    ('subject contains "invoice"', 'subject contains exactly "invoice"'),
    ('subject contains exactly "invoice"', 'subject contains exactly "Invoice"'),
    ('subject starts with "a"', 'subject ends with "a"'),
    ("subject exists", 'subject contains "a"'),
    ('subject like "ab*"', 'subject like "b*"'),
    ("subject matches /ab/", "subject matches /b/"),
    ("subject matches /a/", "subject matches exactly /a/"),
    ('subject is "a" or size > 1', 'subject is "a"'),
    ('subject is "a"', 'subject is "a" and size > 1'),
    ("not size > 2", "not size > 1"),
    ("size > 1", "not size > 1"),
    ("not size > 1", "size > 1"),
    ('subject is not "a"', 'subject is not "a", "b"'),
    ("env.A in 192.0.2.0/24", "env.A in 192.0.2.0/25"),
    # What is only known while a message is judged proves nothing, nor does an answer that nobody may know.
    ('subject is "{from}"', 'subject is "{from}"'),
    ("subject is from", "subject is from"),
    ('from in file "/a"', 'from in file "/a"'),
]


ENDING = [
    "keep",
    'log "a"; discard for good; mark seen',
    'if size > 1 { file "a" } else { reject "b" }',
    'if size > 1 { file "a" } else if size > 2 { keep } else { if size > 3 { keep } else { defer "b" } }',
    'rule "a" { keep }',
]
NOT_ENDING = [
    "",
    'copy file "a"; mark seen; log "b"',
    "if size > 1 { keep }",
    "if size > 1 { keep } else if size > 2 { keep }",
    "if size > 1 { mark seen } else { keep }",
    "if size > 1 { keep } else { }",
]


def statements(text: str) -> tuple[Node, ...]:
    return plan(text, variables=("A",)).statements


def condition(text: str) -> Node:
    (statement,) = statements(f"if {text} {{ keep }}")
    node: Node = statement[1][0][0]
    return node


def told(text: str, files: dict[str, str] | None = None) -> list[tuple[str, int, int, int, str]]:
    """(file, line, column, width, message) of each rule that is told to be shadowed."""
    found = compile_rules(PATH, text.encode(), Library(files or {}), ("A",)).diagnostics
    return [(one.file, one.line, one.column, one.width, one.message) for one in found if one.name == "shadowed"]


@pytest.mark.parametrize(("one", "other"), PROVEN)
def test_what_a_condition_surely_brings_with_it_is_proven(one: str, other: str) -> None:
    assert implies(condition(one), condition(other))
    assert [line for _, line, *_ in told(f"if {other} {{ keep }}\nif {one} {{ discard }}")] == [2]


@pytest.mark.parametrize(("one", "other"), UNPROVEN)
def test_what_may_be_otherwise_is_not_proven(one: str, other: str) -> None:
    assert not implies(condition(one), condition(other))
    assert told(f"if {other} {{ keep }}\nif {one} {{ discard }}") == []


@pytest.mark.parametrize("block", ENDING)
def test_a_block_that_always_delivers_ends_the_evaluation(block: str) -> None:
    assert ends(statements(block), vocabulary.catalogue())


@pytest.mark.parametrize("block", NOT_ENDING)
def test_a_block_that_some_messages_pass_does_not(block: str) -> None:
    assert not ends(statements(block), vocabulary.catalogue())


def test_only_what_ends_leaves_nothing_for_the_rules_below() -> None:
    assert told('if size > 1 { copy file "a" }\nif size > 2 { keep }') == []
    assert told('if size > 1 { mark seen; keep }\nif size > 2 { log "a" }') != []
    assert told("if size > 1 { if size > 9 { keep } }\nif size > 2 { keep }") == []


def test_each_branch_that_ends_counts_up_to_the_first_that_does_not() -> None:
    last = '\nif from is "a@b.c" { keep }'
    branches = "if size > 9 {{ {} }} else if from.domain exists {{ keep }} else if from exists {{ {} }}"
    assert told(branches.format("keep", "keep") + last) != []
    assert told(branches.format("keep", "mark seen") + last) == []
    assert told(branches.format("mark seen", "keep") + last) == []


def test_a_shadowed_rule_is_told_with_the_rule_that_takes_its_mail() -> None:
    nothing = "nothing is left for this rule: whatever it matches has ended in line"
    rules = 'log "a"\nrule "big" if size > 1 { keep }\n  if size > 2 { keep }  \nif size > 0 { keep }'
    assert told(rules) == [(PATH, 3, 3, 20, f'{nothing} 2 ("big")')]
    files = {"/rules/a.rules": "\nif size > 1 { keep }", "/rules/b.rules": "if size > 2 { keep }"}
    assert told('include "a.rules"\ninclude "b.rules"', files) == [
        ("/rules/b.rules", 1, 1, 20, f"{nothing} 2 of /rules/a.rules")
    ]


def test_rules_with_an_error_are_told_the_error_alone() -> None:
    assert told("if size > 1 { keep }\nif size > 2 { keep }\nlog zzz") == []


def test_so_many_pairs_of_rules_are_compared() -> None:
    found = shadowed(statements("if size > 1 { keep }") * 1_000)
    assert sum(range(len(found) + 1)) <= MAX_PAIRS < sum(range(len(found) + 2))


# -- no message reaches a shadowed rule -----------------------------------------------------------------------------

ATOMS = (
    ["from exists", 'from is exactly "Ann@X.ORG"', 'from contains exactly "Ann"', 'from.domain is "x.org"']
    + [f'from {said} "{text}"' for said in ("is", "contains", "starts with") for text in ("ann@x.org", "ann")]
    + [f'from ends with "{text}"' for text in ("@x.org", "org")]
    + ['from in "ann@x.org", "bob@x.org"', "subject exists", 'subject is ""', 'subject in "ab", "b a"']
    + [f'subject {said} "{text}"' for said in ("is", "like", "starts with", "contains") for text in ("ab", "a", "b a")]
    + [f'subject {said} exactly "{text}"' for said in ("is", "contains", "ends with") for text in ("aB", "b")]
    + ["size exists", 'header "N" exists']
    + ["subject matches /^a/", 'subject ends with "b", "a"', "list-id exists", 'list-id is "l.x.org"']
    + [
        f'list-id {said} "{text}"'
        for said in ("contains", "starts with", "ends with")
        for text in ("l.x", "x.org", "l")
    ]
    + [f'header "N" {said}' for said in ("> 5", ">= 5", "< 5", "<= 4", "in 4..5", "in 1..9", 'is "5"', 'contains "5"')]
    + [
        f"size {said}"
        for said in ("< 300", "<= 300", "> 300", ">= 299", "is 300", "is 299, 400", "in 299..300", "in 299..400")
    ]
)


def message(*lines: str, size: int) -> bytes:
    head = "".join(f"{line}\n" for line in lines if line) + "\n"
    return head.encode().ljust(size, b"x")


MESSAGES = [
    message(author, subject, name, *number.split("|"), size=size)
    for author, subject, name, number, size in product(
        (
            "",
            *[
                f"From: {text}"
                for text in ("ann@x.org", "Ann@X.ORG", "ann @ x.org", "ann <bob@x.org>", "Ann <e@y.org>")
            ],
        ),
        ("", "Subject:", "Subject: ab", "Subject: aB", "Subject: b a"),
        ("", "List-Id: <l.x.org>", "List-Id: l.x <m.y.org>"),
        ("", "N: 5", "N: 5.5 of 7", "N: 3|N: 9", "N: none"),
        (299, 300, 400),
    )
]


def met(conditions: list[str]) -> list[frozenset[int]]:
    """Which of the messages satisfy each condition, by number."""
    made = plan("\n".join(f'if {text} {{ log "{number}" }}' for number, text in enumerate(conditions)))
    logs = [set(judged(made, one, World(), Envelope()).log) for one in MESSAGES]
    return [frozenset(at for at, log in enumerate(logs) if str(n) in log) for n in range(len(conditions))]


def test_no_message_tells_two_simple_conditions_apart_that_are_proven_to_follow() -> None:
    nodes, messages = [condition(text) for text in ATOMS], met(ATOMS)
    proven = 0
    for (one, these), (other, those) in product(zip(nodes, messages, strict=True), repeat=2):
        if one is not other and implies(one, other):
            proven += 1
            assert these <= those, (one[-1], other[-1])
    assert proven > 100


CONDITIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("({0[0]}) and ({0[1]})".format),
        st.tuples(inner, inner).map("({0[0]}) or ({0[1]})".format),
        inner.map("not ({})".format),
    ),
    max_leaves=4,
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """(earlier, later) conditions: any two, or two of which the one is made of the other."""
    one, other = draw(CONDITIONS), draw(CONDITIONS)
    made = [(one, other), (one, f"({one}) and ({other})"), (f"({other}) or ({one})", one), (one, one)]
    made += [(f"not (({one}) and ({other}))", f"not ({other})"), (f"not ({one})", f"not (({one}) or ({other}))")]
    return draw(st.sampled_from(made))


@settings(phases=(Phase.explicit, Phase.reuse, Phase.generate), max_examples=150, deadline=None)
@given(pairs())
def test_no_message_reaches_a_rule_that_is_told_to_be_shadowed(pair: tuple[str, str]) -> None:
    earlier, later = pair
    rules = f'if {earlier} {{ file "earlier" }}\nif {later} {{ file "later" }}'
    if told(rules):
        made = plan(rules)
        assert all("later" not in boxes(judged(made, one, World(), Envelope())) for one in MESSAGES)
