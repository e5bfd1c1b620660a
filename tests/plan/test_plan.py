"""The cached plan: what is written is read, and whatever is not exactly that is not believed."""

from __future__ import annotations

import random

import pytest

import pydeliver
from pydeliver import plan as plans
from pydeliver.mail.envelope import Envelope
from pydeliver.plan import DIGEST_BYTES, Plan, actions, content_digest, decode, encode
from tests.rules import World, judged, plan

RULES = """
let family = ["mum@example.org", "dad@example.org"]
if from in family { mark flagged; file "Family" }
if subject matches /\\[(?<tag>\\w+)\\]/ { copy file "tags/{tag}" } else if age > 30 days { discard }
if envelope.to in 192.0.2.0/24 or now in 22:00..06:00 { set header "X-A" = "ü {from.name}"; label "x" } else { log "l" }
"""
MESSAGE = b"From: dad@example.org\nSubject: [x] y\n\n"
SEED = 20_240_515


def whole() -> Plan:
    made = plan(RULES)
    sources = (("/rules/main.rules", content_digest(RULES.encode())), ("/etc/absent\udcff", b""))
    return Plan(made.statements, made.settings, made.files, sources, (("/rules/*.rules", ("/rules/main.rules",)),))


def test_a_plan_that_was_written_is_read_back() -> None:
    made = whole()
    assert decode(encode(made)) == made
    empty = Plan((), {})
    assert decode(encode(empty)) == empty


def test_a_plan_that_was_read_back_judges_alike() -> None:
    made = whole()
    read = decode(encode(made))
    assert read is not None
    assert judged(read, MESSAGE, World(), Envelope()) == judged(made, MESSAGE, World(), Envelope())


def test_the_same_rules_make_the_same_plan() -> None:
    assert plan(RULES) == plan(RULES)
    assert plan(RULES) != plan(RULES.replace("30", "31"))


def _damaged(data: bytes, chance: random.Random) -> bytes:
    kind = chance.randrange(6)
    at = chance.randrange(len(data))
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
    if kind == 3:
        return data[:at] + data[at + chance.randrange(1, 9) :]
    if kind == 4:
        return data + chance.randbytes(chance.randrange(1, 9))
    return chance.randbytes(chance.randrange(200))


def test_a_hundred_thousand_damaged_caches_are_no_plans() -> None:
    chance = random.Random(SEED)
    data = encode(whole())
    for number in range(100_000):
        damaged = _damaged(data, chance)
        assert damaged == data or decode(damaged) is None, f"number {number} of seed {SEED}"


@pytest.mark.parametrize("length", [0, 1, DIGEST_BYTES - 1, DIGEST_BYTES])
def test_a_cache_without_a_plan_is_none(length: int) -> None:
    assert decode(encode(whole())[:length]) is None
    assert decode(bytes(length)) is None


def test_a_digest_of_the_payload_alone_is_not_enough() -> None:
    payload = encode(whole())[DIGEST_BYTES:]
    assert decode(content_digest(payload) + payload) is None


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(plans, "FORMAT", plans.FORMAT + 1), (plans, "__version__", pydeliver.__version__ + ".1")],
)
def test_the_plan_of_another_engine_is_none(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, value: object
) -> None:
    made = whole()
    data = encode(made)
    with monkeypatch.context() as other:
        other.setattr(module, name, value)
        assert decode(data) is None
        theirs = encode(made)
        assert decode(theirs) == made
    assert decode(theirs) is None
    assert decode(data) == made


def test_the_plan_of_another_python_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(whole())
    monkeypatch.setattr("sys.hexversion", 0x030B00F0 - 1)
    assert decode(data) is None


def test_the_digest_of_the_rules_changes_with_every_source() -> None:
    one, two = content_digest(b"1"), content_digest(b"2")
    digests = {
        Plan((), {}, (), sources).digest
        for sources in (
            (),
            (("/a", one),),
            (("/a", two),),
            (("/b", one),),
            (("/a", one), ("/b", two)),
            (("/b", two), ("/a", one)),
            (("/a", b""),),
        )
    }
    assert len(digests) == 7
    assert Plan((), {}, (), (("/a", one),)).digest == Plan(("x",), {"y": 1}, (), (("/a", one),)).digest  # type: ignore[arg-type]


def test_the_actions_of_a_plan_are_found_in_the_order_of_writing() -> None:
    found = [node[2] for node in actions(plan(RULES).statements)]
    assert found == ["mark", "file", "copy", "discard", "set header", "label", "log"]
