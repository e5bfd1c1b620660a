"""Results of rule tests in the XML that continuous integration reads (the form that JUnit has made common)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from pydeliver.plan import Plan
from pydeliver.workbench.report import short, why_not
from pydeliver.workbench.testing import Result

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Iterable[tuple[Result, Plan]]) -> bytes:
    """Results in the XML that continuous integration reads: one suite a rule file."""
    root = ElementTree.Element("testsuites")
    suites: dict[str, ElementTree.Element] = {}
    for one, plan in results:
        case = one.case
        if case.file not in suites:
            suites[case.file] = ElementTree.SubElement(root, "testsuite", name=_xml(case.file))
        shown = ElementTree.SubElement(
            suites[case.file], "testcase", name=_xml(case.name), classname=_xml(short(case.file)), line=str(case.line)
        )
        if not one.passed:
            lines = why_not(one, plan)
            kind = "error" if one.problems else "failure"
            said = one.problems[0] if one.problems else lines[0].strip()
            ElementTree.SubElement(shown, kind, message=_xml(said)).text = _xml("\n".join(lines))
    for suite in suites.values():
        for name in ("error", "failure"):
            suite.set(f"{name}s", str(len(suite.findall(f"testcase/{name}"))))
        suite.set("tests", str(len(suite)))
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _xml(text: str) -> str:
    """The text without what XML 1.0 has no way to write (section 2.2, Char)."""
    return _NO_XML.sub("\ufffd", text)
