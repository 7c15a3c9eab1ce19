"""A report as the XML that CI servers read: a test case for each gate."""

from __future__ import annotations

import datetime
from xml.etree import ElementTree

from edge_sdk.errors import EdgeError, printable
from firmware_bridge.hil import Report


def of_report(report: Report) -> bytes:
    """A test suite: the gates are its cases, figures its properties."""
    name = printable(f"{report.subject.file.name} on {report.target}")
    failed = sum(not gate.passed for gate in report.gates)
    suites, suite = _suite(name, len(report.gates), report.seconds, failures=failed)
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _properties(report):
        ElementTree.SubElement(properties, "property", name=key, value=printable(value))
    each_s = report.seconds / len(report.gates)
    for gate in report.gates:
        case = _case(suite, gate.name, each_s)
        if not gate.passed:
            message = printable(f"expected {gate.expected}, found {gate.found}")
            failure = ElementTree.SubElement(case, "failure", type="GateError", message=message)
            failure.text = printable(gate.detail or message)
    return _written(suites)


def of_error(model: str, target: str, error: EdgeError) -> bytes:
    """A test suite of a run that came to no result."""
    suites, suite = _suite(printable(f"{model} on {target}"), 1, 0.0, errors=1)
    case = _case(suite, "run", 0.0)
    found = ElementTree.SubElement(case, "error", type=type(error).__name__, message=str(error))
    found.text = str(error)
    return _written(suites)


def _suite(
    name: str, tests: int, seconds: float, *, failures: int = 0, errors: int = 0
) -> tuple[ElementTree.Element, ElementTree.Element]:
    counts = {
        "tests": str(tests),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{seconds:.3f}",
    }
    suites = ElementTree.Element("testsuites", counts)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0, tzinfo=None)
    stamp = {"skipped": "0", "timestamp": now.isoformat(), "hostname": "localhost"}
    return suites, ElementTree.SubElement(suites, "testsuite", {"name": name, **counts, **stamp})


def _case(suite: ElementTree.Element, name: str, seconds: float) -> ElementTree.Element:
    """Of the class that is the suite: CI servers tell cases apart by class and name."""
    of = {"classname": suite.attrib["name"], "name": name, "time": f"{seconds:.3f}"}
    return ElementTree.SubElement(suite, "testcase", of)


def _properties(report: Report) -> list[tuple[str, str]]:
    facts = report.as_dict()
    kept = [(key, value) for key, value in facts.items() if isinstance(value, (str, int, float))]
    return [(key, str(value)) for key, value in kept] + [
        (f"link.{key}", str(value)) for key, value in facts["link"].items()
    ]


def _written(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
