"""What rules and rehearsals look like to a person and to a program: diagnostics, decisions, traces, sums."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydeliver.agent.rules import Distrust
from pydeliver.language.mistakes import pointed
from pydeliver.mail.words import visible
from pydeliver.plan import Plan
from pydeliver.status import Diagnostic
from pydeliver.verdict import Delivery
from pydeliver.workbench.rehearse import Rehearsal
from pydeliver.workbench.testing import Result

Style = Callable[[str, str], str]  # (text, what it is) to the text as shown
_BAR = 30


def plain(text: str, _kind: str) -> str:
    return text


def diagnostic_text(found: Diagnostic, style: Style = plain) -> str:
    """`file:line:column: what is wrong`, the line, and carets under the place; a hint behind it."""
    head = f"{found.file}:{found.line}:{found.column}: "
    kind = "" if found.severity == "error" else f"{found.severity}: "
    lines = [style(head, "place") + style(kind + visible(found.message), found.severity)]
    lines += pointed(found)
    if found.hint:
        lines.append(f"    {found.hint}")
    return "\n".join(lines)


def distrust_text(found: Distrust, style: Style = plain) -> str:
    rest = found.text.removeprefix(found.path).lstrip() if found.text.startswith(found.path + " ") else found.text
    lines = [style(f"{found.path}: ", "place") + style(rest, "error")]
    if found.repair:
        lines.append(f"    repair: {found.repair}")
    return "\n".join(lines)


def decision_text(one: Rehearsal, plan: Plan, style: Style = plain, width: int = 0) -> str:
    """Which message, what becomes of it, and why: one line, or three where they don't fit into `width` columns."""
    decision, why = visible(one.verdict.describe()), because(one, plan)
    why += "".join([f"  ? {visible(shown)}" for shown in unknown(one)])
    long = width and len(one.label) + len(decision) + len(why) + len(":   ") > width
    before, between = ("\n    ", "\n    ") if long else (" ", "  ")
    return f"{one.label}:{before}{style(decision, 'decision')}{between}{style(why, 'place')}"


def because(one: Rehearsal, plan: Plan) -> str:
    """Which statement decided: its rule's name, its file and line."""
    verdict = one.verdict
    if not verdict.line:
        return "(end of the rules)"
    name = f'rule "{verdict.rule}", ' if verdict.rule else ""
    return f"({name}{short(plan.files[verdict.file])}:{verdict.line})"


def unknown(one: Rehearsal) -> tuple[str, ...]:
    """The conditions that nobody could decide here, and filters that were not run, as they are written."""
    return tuple(dict.fromkeys([node[7] for node, result in one.verdict.trace if result is None]))


def short(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def trace_text(one: Rehearsal, plan: Plan, style: Style = plain) -> list[str]:
    """Every condition and action that was reached, in order; what was noted; what could not be known."""
    lines = []
    for node, result in one.verdict.trace:
        answer = "?  " if result is None else "do " if node[0] == "do" else "yes" if result else "no "
        line, file, shown = node[5:8]
        shown += f"  ({result})" if isinstance(result, str) else ""
        kind = "decision" if node[0] == "do" or result else "place"
        lines.append(style(f"    {answer} {short(plan.files[file])}:{line}  {shown}", kind))
    lines += [f"    log {visible(line)}" for line in one.verdict.log]
    lines += [f"    note {visible(note)}" for note in one.verdict.notes]
    lines += [f"    ? {visible(problem)}" for problem in one.problems]
    return lines


def decision_json(one: Rehearsal, plan: Plan, traced: bool) -> str:
    """The same as one JSON object on one line."""
    verdict = one.verdict
    made: dict[str, object] = {
        "message": one.label,
        "message-id": next(iter(one.message.texts("message-id")), None),
        "decision": verdict.describe(),
        "outcome": verdict.outcome,
        "text": verdict.text or None,
        "deliveries": [_delivery(delivery) for delivery in verdict.deliveries],
        "rule": verdict.rule or None,
        "file": plan.files[verdict.file] if verdict.line else None,
        "line": verdict.line or None,
        "notes": list(verdict.notes),
        "log": list(verdict.log),
        "unknown": list(unknown(one)),
        "problems": list(one.problems),
    }
    if traced:
        made["trace"] = [
            {"kind": node[0], "line": node[5], "file": plan.files[node[6]], "shown": node[7], "result": result}
            for node, result in verdict.trace
        ]
    return json.dumps(made, ensure_ascii=False)


def _place(one: Delivery) -> str:
    if one.address:
        return f"forward {one.address}"
    return f"pipe {one.argv[0]}" if one.argv else one.mailbox


def _delivery(one: Delivery) -> dict[str, object]:
    return {
        "mailbox": one.mailbox or None,
        "program": list(one.argv) or None,
        "address": one.address or None,
        "flags": one.flags,
        "labels": list(one.labels),
        "edits": [edit.describe() for edit in one.edits],
        "copy": not one.final,
    }


def result_text(one: Result, plan: Plan, style: Style = plain) -> list[str]:
    """One line for a test; where it did not pass, what was expected, what came, and why."""
    case = one.case
    word = "ok    " if one.passed else "?     " if one.problems else "FAILED"
    kind = "decision" if one.passed else "warning" if one.problems else "error"
    place = style(f"({short(case.file)}:{case.line})", "place")
    return [f"{style(word, kind)} {visible(case.name)} {place}", *([] if one.passed else why_not(one, plan, style))]


def why_not(one: Result, plan: Plan, style: Style = plain) -> list[str]:
    """What was expected and what came, the questions without an answer, and the trace."""
    lines = []
    for failure in one.failures:
        lines.append(f"    expected {visible(failure.expected.removeprefix('expect '))}")
        lines.append(f"    got      {visible(failure.got)}")
    if one.judged is None:
        return lines + [f"    ? {visible(problem)}" for problem in one.problems]
    if one.failures:
        lines[1] += f"  {style(because(one.judged, plan), 'place')}"
    return lines + trace_text(one.judged, plan, style)


def result_json(one: Result, plan: Plan) -> str:
    """The same as one JSON object on one line."""
    made: dict[str, object] = {
        "test": one.case.name,
        "file": one.case.file,
        "line": one.case.line,
        "passed": one.passed,
        "failures": [{"expected": failure.expected, "got": failure.got} for failure in one.failures],
        "problems": list(one.problems),
    }
    if one.judged is not None:
        made["judged"] = json.loads(decision_json(one.judged, plan, not one.passed))
    return json.dumps(made, ensure_ascii=False)


@dataclass
class Sum:
    """How many messages go where."""

    places: Counter[str]
    messages: int = 0

    def add(self, one: Rehearsal) -> None:
        self.messages += 1
        verdict = one.verdict
        for place in {_place(delivery) for delivery in verdict.deliveries} or {verdict.outcome}:
            self.places[place] += 1

    def lines(self) -> Iterable[str]:
        """A bar for every place, the most frequent first."""
        most = max(self.places.values(), default=1)
        width = max([len(place) for place in self.places], default=0)
        for place, count in sorted(self.places.items(), key=lambda item: (-item[1], item[0])):
            yield f"{place:{width}}  {count:7}  {'▇' * max(1, round(_BAR * count / most))}"
