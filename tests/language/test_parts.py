"""Rule files that run one behind the other: each with names of its own, and bound by what its side lets it say."""

from __future__ import annotations

from pydeliver.language.load import Compiled, Part, compile_parts
from tests.rules import Library

FILES = {"/site/more.rules": 'log "more"\n'}


def part(path: str, text: str, site: bool = False, refused: tuple[tuple[str, str], ...] = ()) -> Part:
    def refuse(kind: str, what: str) -> str:
        return f"no {kind} {what}" if (kind, what) in refused else ""

    return Part(path, text.encode(), Library(FILES), refuse, site)


def told(made: Compiled) -> list[str]:
    return [f"{one.file}:{one.line}:{one.column}+{one.width} {one.name}: {one.message}" for one in made.diagnostics]


def test_parts_run_in_order_and_a_file_once_in_each() -> None:
    rules = 'include "/site/more.rules"\ninclude "/site/more.rules"\n'
    made = compile_parts((part("/site/before.rules", rules, True), part("/home/main.rules", rules)))
    assert made.ok
    assert [(made.files[node[6]], node[7]) for node in made.statements] == [("/site/more.rules", 'log "more"')] * 2
    assert made.files == ("/site/before.rules", "/site/more.rules", "/home/main.rules", "/site/more.rules")
    assert made.site == ("/site/before.rules", "/site/more.rules")


def test_no_part_knows_the_names_of_another() -> None:
    made = compile_parts((part("/a", 'let box = "A"\nfile box\n'), part("/b", "if size > 0 { file box }\n")))
    assert told(made) == ['/b:1:20+3 unquoted: text stands in quotes: "box"']


def test_what_is_refused_is_told_where_it_stands_and_only_in_its_part() -> None:
    refused = (
        ("word", "copy file"),
        ("word", "size"),
        ("mailbox", "Lists/value"),
        ("list", "~/friends"),
        ("list", "/home/beside"),
        ("include", "/site/more.rules"),
        ("set default", "~/x"),
    )
    rules = """\
set default = "~/x"
if size > 1 { copy file "Copy" }
if from in file "~/friends", file "beside" { file "Work", "Lists/{subject}" }
include "/site/more.rules"
let large = condition size > 3
if mailbox "Lists/value" exists { keep }
"""
    made = compile_parts((part("/home/main.rules", rules, refused=refused), part("/site/after.rules", rules, True)))
    assert told(made) == [
        "/home/main.rules:1:15+5 policy: no set default ~/x",
        "/home/main.rules:2:4+4 policy: no word size",
        "/home/main.rules:2:15+4 policy: no word copy file",
        "/home/main.rules:3:17+11 policy: no list ~/friends",
        "/home/main.rules:3:35+8 policy: no list /home/beside",
        "/home/main.rules:3:59+17 policy: no mailbox Lists/value",
        "/home/main.rules:4:9+18 policy: no include /site/more.rules",
        "/home/main.rules:5:23+4 policy: no word size",
        "/home/main.rules:6:12+13 policy: no mailbox Lists/value",
    ]


def test_of_a_sites_files_only_errors_are_told() -> None:
    rules = 'let unused = 1\nif subject is "a" { keep }\nif subject is "a" { keep }\n'
    assert told(compile_parts((part("/site/before.rules", rules, True), part("/home/main.rules", "")))) == []
    names = [one.split()[1] for one in told(compile_parts((part("/home/main.rules", rules),)))]
    assert names == ["unused-let:", "shadowed:"]
    made = compile_parts((part("/site/before.rules", "fiel\n", True), part("/home/main.rules", "")))
    assert [one.file for one in made.diagnostics] == ["/site/before.rules"]
