"""Every operator over every kind of value, beside its negation, and what an unknown value makes of it."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydeliver.vocabulary.operator import OPERATORS, bind, cut_glob, leading_number, pattern
from pydeliver.vocabulary.word import Field
from tests.rules import NOW, World, boxes, holds, judge

if TYPE_CHECKING:
    from pydeliver.vocabulary.word import Facts

MESSAGE = (
    b"From: Boss Nova <Boss+shop@Example.com>\n"
    b"To: Ann <ann@one.example>, bob@two.example\n"
    b"Subject: Hello  World\n 42 =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
    b"Date: Wed, 15 May 2024 10:34:56 +0000\n"
    b"Message-ID: <abc@mail.example>\n"
    b"List-Id: Debian users <debian-user.lists.debian.org>\n"
    b"X-Score: 15.2 (required 5)\n"
    b"X-Empty:\n"
    b"X-Many: one\nX-Many: two\n"
    b"X-Name: boss nova\n"
    b"\nbody\n"
)

# Each is true of MESSAGE, judged at NOW, two hours after its Date; the mate of the same operator is false.
CONDITIONS = [
    ('subject is "hello world 42 GRÜßE"', 'subject is "hello world"'),
    ('subject is exactly "Hello World 42 Grüße"', 'subject is exactly "hello World 42 Grüße"'),
    ('subject is "x", "hello world 42 grüße"', 'subject is "x", "y"'),
    ('subject contains "WORLD 42 gr"', 'subject contains "world  43"'),
    ('subject contains exactly "World"', 'subject contains exactly "world"'),
    ('subject starts with "hello"', 'subject starts with "world"'),
    ('subject starts with exactly "Hello"', 'subject starts with exactly "hello"'),
    ('subject ends with "GRÜßE"', 'subject ends with "42"'),
    ('subject ends with exactly "Grüße"', 'subject ends with exactly "grüße"'),
    ('subject like "hello*42*"', 'subject like "hello"'),
    ('subject like exactly "Hello*"', 'subject like exactly "hello*"'),
    ("subject matches /^hello\\s+world \\d+/", "subject matches /^world/"),
    ("subject matches exactly /Hello/", "subject matches exactly /hello/"),
    ('subject in "a", "hello world 42 grüße"', 'subject in "a", "b"'),
    ("subject exists", 'header "X-Absent" exists'),
    ('header "X-Empty" exists', "bcc exists"),
    ('header "X-Empty" is ""', 'subject is ""'),
    ('header "X-Many" is "two"', 'header "X-Many" is "three"'),
    ('header "X-Score" > 15', 'header "X-Score" > 15.2'),
    ('header "X-Score" >= 15.2', 'header "X-Score" >= 15.3'),
    ('header "X-Score" < 15.3', 'header "X-Score" < 15.2'),
    ('header "X-Score" <= 15.2', 'header "X-Score" <= 15.1'),
    # addresses
    ('from is "boss+shop@example.com"', 'from is "Boss Nova"'),
    ('from is "Somebody Else <boss+shop@EXAMPLE.com>"', 'from is "boss@example.com"'),
    ('from is exactly "Boss+shop@example.com"', 'from is exactly "boss+shop@example.com"'),
    ('from contains "boss nova"', 'from contains "ann"'),
    ('from starts with "boss+"', 'from starts with "Boss Nova"'),
    ('from ends with "@example.com"', 'from ends with "@example.com>"'),
    ('from like "boss*@example.???"', 'from like "*nova*"'),
    ("from matches /nova <boss/", "from matches /^boss\\+shop/"),
    ('to in "x@y.example", "bob@two.example"', 'to in "x@y.example", "bob@one.example"'),
    ("to exists", "cc exists"),
    # identifiers
    ('list-id is "debian-user.lists.debian.org"', 'list-id is "debian users"'),
    ('list-id contains "debian users"', 'list-id contains "ubuntu"'),
    ('list-id starts with "debian-user."', 'list-id starts with "debian users"'),
    ('list-id ends with ".org"', 'list-id ends with ".org>"'),
    ('list-id like "*.lists.debian.org"', 'list-id like "debian users*"'),
    ("list-id matches /users <debian/", "list-id matches /^debian-user/"),
    ('message-id is "<abc@mail.example>"', 'message-id is "abc"'),
    # numbers
    ("count to is 2", "count to is 3"),
    ("count to > 1", "count to > 2"),
    ("count to >= 2", "count to >= 2.5"),
    ("count to < 3", "count to < 2"),
    ("count to <= 2", "count to <= 1"),
    ("count to in 2..9", "count to in 3..9"),
    ("count to in 1..2", "count to in 0..1"),
    ("count cc is 0", "count cc > 0"),
    ("count recipient is 2", "count recipient is 1"),
    # sizes
    ("size > 100", "size > 1 KB"),
    ("size >= 100 bytes", "size >= 1 GB"),
    ("size < 1 KB", "size < 100"),
    ("size <= 1 MB", "size <= 1"),
    ("size in 100..1024", "size in 1024..2048"),
    # durations
    ("age > 1 hour", "age > 3 hours"),
    ("age >= 7200 seconds", "age >= 1 day"),
    ("age < 1 week", "age < 119 minutes"),
    ("age <= 2 hours", "age <= 1 s"),
    ("age is 2 hours", "age is 1 hour"),
    # moments
    ("now is 2024-05-15", "now is 2024-05-14"),
    ("now is 12:34", "now is 12:35"),
    ("now > 2024-05-14", "now > 2024-05-15"),
    ("now >= 2024-05-15", "now >= 2024-05-16"),
    ("now < 2024-05-16", "now < 2024-05-15"),
    ("now <= 2024-05-15", "now <= 2024-05-14"),
    ("now > 12:33", "now > 12:34"),
    ("now <= 12:34", "now < 12:34"),
    ("now in 2024-05-01..2024-05-15", "now in 2024-05-16..2024-05-31"),
    ("now in 2024-05-15..2024-05-15", "now in 2024-05-01..2024-05-14"),
    ("now in 12:34..12:34", "now in 12:35..12:40"),
    ("now in 22:00..13:00", "now in 22:00..06:00"),
    ("now in 12:00..06:00", "now in 13:00..06:00"),
    ("date is 2024-05-15", "date is 2024-05-16"),
    ("date < 2024-05-16", "date < 2024-05-15"),
]


@pytest.mark.parametrize(("true", "false"), CONDITIONS)
def test_an_operator_tells_what_fits_from_what_does_not(true: str, false: str) -> None:
    assert holds(true, MESSAGE) is True
    assert holds(false, MESSAGE) is False


_OPERATOR = re.compile(r" (is|contains|starts with|ends with|like|matches|in|exists)\b")
NEGATIONS = [
    (_OPERATOR.sub(lambda found: " is not" if found[1] == "is" else f" not {found[1]}", true, count=1), true)
    for pair in CONDITIONS
    for true in pair
    if _OPERATOR.search(true)
]


@pytest.mark.parametrize(("negated", "plain"), NEGATIONS)
def test_a_negated_operator_is_the_opposite(negated: str, plain: str) -> None:
    assert negated != plain
    assert holds(negated, MESSAGE) is (not holds(plain, MESSAGE))


@pytest.mark.parametrize(
    "condition",
    [
        'cc is "a@b.example"',
        'cc contains "a"',
        'cc starts with "a"',
        'cc ends with "a"',
        'cc like "*"',
        "cc matches /^/",
        'cc in "a@b.example"',
        'cc in file "/list"',
        'header "X-Absent" is ""',
        'header "X-Absent" in 0.0.0.0/0',
        'header "X-Absent" < 5',
        'header "X-Absent" >= 0',
        "cc is cc",
        "cc contains cc.domain",
        'cc is "{cc}"',
    ],
)
def test_an_absent_field_satisfies_nothing_but_a_negation(condition: str) -> None:
    world = World(list=frozenset(["", "a@b.example"]))
    assert holds(condition, MESSAGE, world) is False
    assert holds(f"not ({condition})", MESSAGE, world) is True
    assert not [question for question in world.asked if question[0] == "list"], "nothing had to be looked up"


@pytest.mark.parametrize("order", ["<", "<=", ">", ">="])
def test_text_without_a_number_is_in_no_order(order: str) -> None:
    assert holds(f'header "X-Name" {order} 5', MESSAGE) is False


def test_the_null_sender_is_an_address_and_an_unsaid_sender_is_none() -> None:
    assert holds("envelope.from is null", sender="") is True
    assert holds("envelope.from exists", sender="") is True
    assert holds("envelope.from is null", sender="a@b.example") is False
    assert holds("envelope.from is null", sender=None) is False
    assert holds("envelope.from exists", sender=None) is False


# -- lists from files -------------------------------------------------------------------------------------------


def test_a_list_file_is_asked_about_by_its_name_and_whether_it_may_be_absent() -> None:
    world = World(friends=frozenset(["boss+shop@example.com"]))
    assert holds('from in file "/friends"', MESSAGE, world) is True
    assert world.asked == [("list", "/friends", False)]
    world = World(friends=frozenset())
    assert holds('from in optional file "/friends"', MESSAGE, world) is False
    assert world.asked == [("list", "/friends", True)]


def test_texts_and_list_files_may_be_mixed() -> None:
    world = World(friends=frozenset(["x@example.com"]), list=frozenset(["bob@two.example"]))
    assert holds('to in "nobody@example.com", file "/friends", file "/list"', MESSAGE, world) is True
    assert holds('to in "bob@two.example", file "/friends"', MESSAGE, world) is True
    assert holds('to in "nobody@example.com", file "/friends"', MESSAGE, world) is False


def test_a_list_file_is_matched_without_case_and_by_any_value_of_the_field() -> None:
    world = World(list=frozenset(["bob@two.example"]))
    assert holds('to in file "/list"', MESSAGE, world) is True
    assert holds('to not in file "/list"', MESSAGE, world) is False
    assert holds('from in file "/list"', MESSAGE, world) is False


# -- numbers in texts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("right", ["is 15.2", "is 15.20", "in 1, 15.2", 'in 15.2, "x"', "in 15..16", "in 1..2, 15..16"])
def test_a_number_is_held_against_the_number_that_a_text_begins_with(right: str) -> None:
    message = b"X-Score: 15.2 (required 5)\n\n"
    assert holds(f'header "X-Score" {right}', message) is True
    assert holds(f'header "X-Score" {right}', b"X-Score: none\n\n") is False


def test_a_number_in_quotes_is_text() -> None:
    assert holds('header "X" is "7"', b"X: 007\n\n") is False
    assert holds('header "X" is 7', b"X: 007\n\n") is True


def test_a_unit_behind_a_range_is_meant_for_both_ends() -> None:
    assert holds("size in 1..2 MB", b"x: y\n\n") is False
    assert holds("size in 1 B..2 MB", b"x: y\n\n") is True


# -- networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network", "inside"),
    [
        ("192.0.2.0", "192.0.2.0/24", True),
        ("192.0.2.255", "192.0.2.0/24", True),
        ("192.0.3.0", "192.0.2.0/24", False),
        ("192.0.2.7", "192.0.2.7/32", True),
        ("[192.0.2.7]", "192.0.2.0/24", True),
        ("::ffff:192.0.2.7", "192.0.2.0/24", True),
        ("2001:db8::1", "2001:db8::/32", True),
        ("IPv6:2001:db8::1", "2001:db8::/32", True),
        ("[IPv6:2001:db8::1]", "2001:db8::/32", True),
        ("2001:db9::", "2001:db8::/32", False),
        ("192.0.2.7", "2001:db8::/32", False),
        ("192.0.2.7", "::/0", False),
        ("192.0.2.07", "192.0.2.0/24", False),
        ("mail.example.org", "0.0.0.0/0", False),
        ("", "0.0.0.0/0", False),
    ],
)
def test_a_network_holds_its_addresses_and_nothing_else(address: str, network: str, inside: bool) -> None:
    environment = {"CLIENT_ADDRESS": address}
    assert holds(f"env.CLIENT_ADDRESS in {network}", environment=environment) is inside
    assert holds(f"env.CLIENT_ADDRESS not in {network}", environment=environment) is not inside


# -- globs, numbers and spans for themselves --------------------------------------------------------------------


def bound(operator: str, *operands: tuple[Any, ...], values: Any, exactly: bool = True, kind: str = "text") -> Any:
    """The outcome of one test on values given outright."""
    field = Field("given", kind, lambda facts, argument: values, "", "", True)
    test = bind(field, None, operator, exactly, operands, _no_field, _no_text)
    return test(_FACTS)


def _no_field(family: str, name: str) -> Field:
    raise AssertionError("no field on the right")


def _no_text(template: Any) -> Any:
    raise AssertionError("no text with values")


class _Given:
    """Facts about nothing: they read the field."""

    captures: dict[str, str] = {}  # noqa: RUF012

    def values(self, field: Field, argument: Any) -> Any:
        return field.read(self, argument)  # type: ignore[arg-type]

    def strings(self, field: Field, argument: Any, whole: bool, folded: bool) -> Any:
        return self.values(field, argument)


_FACTS: Facts = _Given()  # type: ignore[assignment]


@given(glob=st.text("ab*?", max_size=8), text=st.text("ab\n", max_size=10))
def test_a_glob_fits_what_the_same_pattern_fits(glob: str, text: str) -> None:
    source = "".join({"*": ".*", "?": "."}.get(c, c) for c in glob)
    wanted = re.fullmatch(source, text, re.DOTALL) is not None
    pieces = cut_glob(glob)
    assert bound("like", ("glob", pieces, pieces), values=(text,)) is wanted


def test_a_glob_of_many_stars_takes_no_longer_than_its_text() -> None:
    pieces = cut_glob("*a" * 50 + "*b")
    assert bound("like", ("glob", pieces, pieces), values=("a" * 100_000,)) is False


@given(st.ip_addresses(), st.data())
def test_an_address_is_in_a_network_where_its_number_is(address: Any, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, address.max_prefixlen))
    other = data.draw(st.ip_addresses(v=address.version))
    network = ipaddress.ip_network((other, length), strict=False)
    packed = (network.network_address.packed, network.broadcast_address.packed)
    mapped = getattr(address, "ipv4_mapped", None)
    operand = ("network", address.version, *packed)
    assert bound("in", operand, values=(str(address),)) is (mapped is None and address in network)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("15.2 (required 5)", 15.2),
        ("-3", -3.0),
        ("+4", 4.0),
        (" 7 ", 7.0),
        ("1.2.3", 1.2),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e9", 1.0),
        ("", None),
        ("-", None),
        (".", None),
        ("five", None),
        ("nan", None),
        ("inf", None),
        ("٣", None),
        ("--1", None),
    ],
)
def test_the_number_that_a_text_begins_with(text: str, number: float | None) -> None:
    assert leading_number(text) == number


@given(st.text())
def test_any_text_has_a_leading_number_or_none(text: str) -> None:
    found = leading_number(text)
    assert found is None or found == found


@given(st.sampled_from(["<", "<=", ">", ">=", "is"]), st.integers(-5, 5), st.integers(-5, 5))
def test_a_span_holds_what_the_order_holds(operator: str, value: int, limit: int) -> None:
    wanted = {
        "<": value < limit,
        "<=": value <= limit,
        ">": value > limit,
        ">=": value >= limit,
        "is": value == limit,
    }[operator]
    assert bound(operator, ("number", limit), values=(value,), kind="number") is wanted


# -- what stands on the right -----------------------------------------------------------------------------------


def test_a_field_on_the_right_is_any_of_its_values() -> None:
    assert holds('header "X-Many" is to.name', MESSAGE) is False
    assert holds("from.domain is envelope.from.domain", MESSAGE, sender="x@EXAMPLE.COM") is True
    assert holds("from.domain is not envelope.from.domain", MESSAGE, sender="x@other.example") is True
    assert holds("recipient is me", MESSAGE, recipient="bob+detail@two.example") is True
    assert holds("recipient is me", MESSAGE, recipient="carl@two.example") is False
    assert holds("from contains from.domain", MESSAGE) is True
    assert holds("from is exactly from.address", MESSAGE) is True


def test_a_text_with_values_is_compared_as_it_reads() -> None:
    assert holds('header "X-Name" is "{from.name}"', MESSAGE) is True
    assert holds('header "X-Name" is exactly "{from.name}"', MESSAGE) is False
    assert holds('subject contains "world {arg.1}"', MESSAGE, arguments={"1": "42"}) is True
    assert holds('subject contains "{arg.1}"', MESSAGE, arguments={"1": "43"}) is False


@pytest.mark.parametrize("operator", ["contains", "starts with", "ends with"])
def test_an_empty_value_is_part_of_no_text(operator: str) -> None:
    assert holds(f'subject {operator} "{{arg.1}}"', MESSAGE) is False
    assert holds(f'header "X-Empty" {operator} "{{arg.1}}"', MESSAGE) is False
    assert holds(f'subject {operator} "{{arg.1}}"', MESSAGE, arguments={"1": ""}) is False


def test_an_empty_value_is_the_empty_text() -> None:
    assert holds('header "X-Empty" is "{arg.1}"', MESSAGE) is True


def test_captures_of_a_pattern_can_stand_in_tests_and_names_of_its_branch() -> None:
    inner = 'if subject contains exactly "{word} {2}" { file "got {2}-{1}" }'
    text = f"if subject matches /(?<word>wor\\w+) (\\d+)/ {{ {inner} }}\n"
    assert boxes(judge(text, MESSAGE)) == ["got 42-world"]


def test_a_group_that_took_no_part_is_empty() -> None:
    text = 'if subject matches /hello(x)?/ { log "<{1}>" }\n'
    assert judge(text, MESSAGE).log == ("<>",)


@given(st.text("aAbBéÉßẞſsKK", min_size=1, max_size=4), st.text("aAbBéÉßẞſsKK", max_size=8))
def test_patterns_and_contains_fold_case_alike(piece: str, text: str) -> None:
    from pydeliver.mail.folding import fold

    found = pattern(re.escape(piece), False).search(text) is not None
    assert found is (fold(piece) in fold(text))


# -- unknown ----------------------------------------------------------------------------------------------------


def test_every_operator_on_an_unknown_value_is_unknown() -> None:
    operands: dict[str, tuple[Any, ...]] = {
        "is": ("text", "x", "x"),
        "in": ("text", "x", "x"),
        "contains": ("text", "x", "x"),
        "starts with": ("text", "x", "x"),
        "ends with": ("text", "x", "x"),
        "like": ("glob", (("x",),), (("x",),)),
        "matches": ("pattern", "x", ()),
    }
    amounts = {"moment": ("date", 2024, 5, 15)}
    for kind, operators in OPERATORS.items():
        for operator in operators:
            textual = kind in ("text", "address", "identifier") and operator in operands
            operand = operands[operator] if textual else amounts.get(kind, ("number", 5))
            assert bound(operator, operand, values=None, kind=kind) is None, (kind, operator)


UNKNOWN = 'from in file "/gone"'


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        (UNKNOWN, None),
        (f"not {UNKNOWN}", None),
        ('from not in file "/gone"', None),
        (f"{UNKNOWN} and size > 0", None),
        (f"{UNKNOWN} and size < 0", False),
        (f"size < 0 and {UNKNOWN}", False),
        (f"{UNKNOWN} or size > 0", True),
        (f"size > 0 or {UNKNOWN}", True),
        (f"{UNKNOWN} or size < 0", None),
        (f"not ({UNKNOWN} and size < 0)", True),
        (f"not ({UNKNOWN} or size > 0)", False),
        (f"not ({UNKNOWN} or size < 0)", None),
        ("now > 2024-01-01", None),
        ("now.hour is 12", None),
        ("age > 1 hour", None),
        ("date is 2024-05-15", True),
    ],
)
def test_what_nobody_knows_makes_a_condition_unknown(condition: str, outcome: bool | None) -> None:
    assert holds(condition, MESSAGE, World(now=None, gone=None)) is outcome


def test_a_zone_that_nobody_knows_makes_times_unknown() -> None:
    assert holds("now is 2024-05-15", MESSAGE, World(offset=None)) is None
    assert holds("now.weekday is wednesday", MESSAGE, World(offset=None)) is None
    assert holds("age is 2 hours", MESSAGE, World(now=NOW, offset=None)) is True
