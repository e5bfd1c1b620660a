"""What the compiler tells about rules that can be read: every mistake and every doubt, in its place, once.

`TABLE` has rows for each: wrong rules, right ones that come close, and what is told about the wrong.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pydeliver.language
from pydeliver.language.load import MAX_FILES, Compiled, compile_rules
from pydeliver.language.operands import MAX_TEXT, MAX_VALUES
from pydeliver.mail.envelope import Envelope
from pydeliver.status import Diagnostic
from tests.rules import PATH, Library, World, judged, plan

MORE = {"/rules/more.rules": "keep"}

# `wrong rules | right rules`, then what is told of the wrong: line:column+width, severity, name, message; its hint.
TABLE = r"""
keep; discard | copy file "a"; discard
    1:7+7 warning unreachable: no message gets here: the evaluation ends above
if size > 1 { keep } else { discard }; mark seen | if size > 1 { keep } else if size > 0 { discard }; mark seen
    1:40+4 warning unreachable: no message gets here: the evaluation ends above
include "more.rules"; log "a" | log "a"; include "more.rules"
    1:23+3 warning unreachable: no message gets here: the evaluation ends above
if from is a { keep }; let a = "x"; log a | let a = "x"; if from is a { keep }; log a
    1:12+1 error unknown-word: `a` is not known here
let a = "x" | let a = "x"; log a
    1:5+1 warning unused-let: this `let` is never used
if to is not "a@b.c" { keep } | if to not exists { keep }; if from is not "a@b" { keep }; if not to is "a@b" { keep }
    1:7+6 warning not-with-many: `to` can have many values: this is true only when none of them matches
if from is "Bob Smith" { keep } | if from contains "Bob Smith" { keep }; if from.name is "Bob Smith" { discard }
    1:12+11 warning never: `from is` is never "Bob Smith"
    hint: for the display name write `from.name is "Bob Smith"`
if from in "@a.b" { keep } | if from ends with "@a.b" { keep }; if from.domain is "a.b" { discard }
    1:12+6 warning never: `from in` is never "@a.b"
    hint: for a domain write `from.domain is "a.b"`
if from is "*@a.b" { keep } | if from like "*@a.b" { keep }
    1:12+7 warning never: `from is` is never "*@a.b"
    hint: for a glob write `from like "*@a.b"`
if to.local is "a@b.c" { keep } | if to.local is "a" { keep }; if to is "a@b.c" { discard }
    1:16+7 warning never: `to.local is` is never "a@b.c"
    hint: for the whole address write `to is "a@b.c"`
if size > 5,5 MB { keep } | if size > 5.5 MB { keep }; if size in 1..2 MB { discard }
    1:11+6 error wrong-kind: one value stands behind `>`; 5,5 is written 5.5
if subject contains 007 { keep } | if subject contains "007" { keep }; if subject is 007 { discard }
    1:21+3 error wrong-kind: `subject` is text: write it in quotes
if from in file "a", "b" { keep } | if from in "b", file "a" { keep }; if from is header "X", "b@c" { discard }
    1:22+3 error wrong-kind: is this a text or a file? Write texts first, and `file` before each file
let a = "x"; if a is "x" { keep } | let a = from; if a is "x" { keep }
    1:17+1 error not-a-field: `a` is a value; a comparison begins with a field
let e = ""; file e | let e = "x"; file e
    1:18+1 error empty-text: this text is empty
let e = ""; file "{e}" | let e = "x"; file "{e}"
    1:18+5 error empty-text: this text is empty
let l = ["a", foo] | let l = ["a", "foo"]; if from is l { keep }
    1:15+3 error unknown-word: `foo` is not known here
let x = condition frm exists; if x { keep }; log "{x}"; log x | let x = from; log "{x}"
    1:19+3 error unknown-word: `frm` is not known here; did you mean `from`?
if duplicate by { keep } | if duplicate by to { keep }; if duplicate by header "X-A" within 1 day { keep }
    1:4+12 error wrong-form: `duplicate` takes `by FIELD within DURATION`, `by FIELD`, `within DURATION` or nothing
file "a" or else keep | copy pipe "a" or else { }; pipe "a" or else keep
    1:18+4 error bad-fallback: nothing here can fail: `or else` stands behind a program
if duplicate by size { keep } | if duplicate by message-id { keep }
    1:17+4 error wrong-kind: `size` is no text and no address
if duplicate by bulk { keep } | if duplicate by first(subject, 9) { keep }
    1:17+4 error no-value: `bulk` is a condition, `if bulk`, and has no value
if duplicate within 2 years { keep } | if duplicate within 1 year { keep }
    1:21+7 error wrong-kind: here stands a time up to a year, like `3 days`
if more than 2.5 per hour by from { keep } | if more than 2 per hour by from { keep }
    1:14+3 error wrong-kind: here stands a whole number
if more than 2 per year by from { keep } | if more than 2 per week by from { keep }
    1:20+4 error wrong-kind: here stands `minute`, `hour`, `day` or `week`
if more 2 per day by from { keep } | if not more than 2 per day by from { keep }
    1:4+22 error wrong-form: `more` takes `than NUMBER per PERIOD by FIELD`
if seen-sender by from { keep } | if not seen-sender and bulk { keep }
    1:4+19 error wrong-form: `seen-sender` takes nothing
if count duplicate > 1 { keep } | if duplicate { keep }
    1:10+9 error no-value: `duplicate` is a condition, `if duplicate`, and can't be counted
file [] | file ["a", "b"]
    1:6+2 error wrong-form: this list is empty: `file "Work/Boss"`
mark [] | mark [seen]
    1:6+2 error wrong-form: this list is empty: `mark seen, flagged`
reject [] | reject ["no"]
    1:8+2 error wrong-form: this list is empty: `reject "no such project here"`
set header [] = "x" | set header ["X-A"] = "x"
    1:12+2 error wrong-form: this list is empty: `set header "X-Large" = "yes"`
set me = [] | set me = ["a@b.c"]
    1:1+11 error bad-option: write `set me = "bob@example.org", "bob@example.com"`
if from in [] { keep } | if from in ["a@b.c"] { keep }
    1:12+2 warning empty-list: this list is empty: nothing is in it
log "{slug(2 days)}" | log "{slug(subject)}"
    1:12+6 error wrong-call: a function takes a field, a capture or the name of a `let`
mark 3 | mark seen
    1:6+1 error unknown-choice: this is nothing to mark; it is one of seen, flagged, answered, draft, trashed
if from in file { keep } | if from in file "a" { keep }
    1:12+4 error wrong-kind: a list file is written `in file "~/customers"`
if to is "a@b.c" { log "1" } else if to is "a@b.c" { keep } | if to is "a@b.c" { keep } else if cc is "a@b.c" { keep }
    1:38+13 warning shadowed: nothing is left for this branch: whatever it matches is taken by one above
set me "a@b.c" | set me = "a@b.c"
    1:1+14 error bad-option: write `set me = "bob@example.org", "bob@example.com"`
log "{header From 1}" | log "{header X-Foo}"; log "{count to}"
    1:14+4 error missing: `header` is followed by a name in quotes: `header "X-Mailer" contains "bulk"`
let from = "x" | let origin = "x"; log origin
    1:5+4 error taken-name: `from` is a word of the language; choose another name
let a = "x"; let a = "y"; log a | let a = "x"; if size > 1 { let a = "y"; log a }; log a
    1:18+1 error taken-name: `a` is given a second time; the first is in line 1
fille "x" | file "x"
    1:1+5 error unknown-word: `fille` is not known here; did you mean `file`?
rul { keep } | rule "a" { keep }
    1:1+3 error unknown-word: `rul` is no statement with a block; did you mean `rule`?
if frm is "x" { keep } | if from is "x" { keep }
    1:4+3 error unknown-word: `frm` is not known here; did you mean `from`?
let family = "a@b.c"; if from is famly { keep } | let family = "a@b.c"; if from is family { keep }
    1:5+6 warning unused-let: this `let` is never used
    1:34+5 error unknown-word: `famly` is not known here; did you mean `family`?
let a = condition not zzz is "x"; if a and not a { keep }; if a { discard } | if not from is "x" { keep }
    1:23+3 error unknown-word: `zzz` is not known here
if from conains "x" { keep } | if from contains "x" { keep }
    1:9+7 error unknown-word: `conains` is not known here; did you mean `contains`?
if from zzz "x" { keep } | if from like "x" { keep }
    1:9+3 error unknown-word: `zzz` is not known here; expected an operator
log "a{sbject}" | log "a{subject}"
    1:8+6 error unknown-word: `sbject` is not known here; did you mean `subject`?
if "x" is from { keep } | if from is "x" { keep }
    1:4+3 error unexpected: `"x"` is not expected here; expected a condition
if from "x" is "y" { keep } | if header "x" is "y" { keep }
    1:9+3 error unexpected: expected an operator behind `from`, like `is` or `contains`
if from.domian is "x" { keep } | if from.domain is "x" { keep }
    1:4+11 error unknown-part: `from` has no part `domian`; did you mean `domain`?
if date.zzz is 3 { keep } | if date.year is 3 { keep }
    1:4+8 error unknown-part: `date` has no part `zzz`; it has year, month, day, hour, weekday
if env.HOM is "x" { keep } | if env.HOME is "x" { keep }
    1:4+7 error unknown-variable: `env.HOM` is not among the variables that rules may read; did you mean `HOME`?
if env is "x" { keep } | if arg.name is "x" { keep }
    1:4+3 error missing: `env` needs a name behind a dot: `env.CLIENT_ADDRESS in 192.0.2.0/24`
if header is "x" { keep } | if headers is "x" { keep }
    1:4+6 error missing: `header` is followed by a name in quotes: `header "X-Mailer" contains "bulk"`
if count > 3 { keep } | if count to > 3 { keep }; if count header "X" > 3 { discard }
    1:4+5 error missing: `count` needs a field: `count recipient > 20`
if count zzz > 3 { keep } | if count cc > 3 { keep }
    1:10+3 error unknown-word: `zzz` is not known here
forward "bob" | forward "bob@example.org"
    1:9+5 error bad-address: this is no mail address
forward "a@x.example", "b c@x.example" | forward "a@x.example", "bc@x.example"
    1:24+15 error bad-address: this is no plain mail address
vacation "x" from 2026-12-20 until 2026-12-19 | vacation "x" from 2026-12-20 until 2026-12-20
    1:1+45 error bad-date: the last day is before the first
notify "x" by "prog" or else keep | notify "x" by "prog"
    1:30+4 error bad-fallback: a notification holds nothing up, so there is no `or else`
vacation "x" every 3 hours | vacation "x" every 24 hours
    1:20+7 error bad-value: the same sender is answered once a day at most
vacation "x" every 3 | vacation "x" every 3 days
    1:20+1 error wrong-kind: here stands a time up to a year, like `3 days`
if header "X Y" is "x" { keep } | if header "X-Y" is "x" { keep }
    1:11+5 error bad-header-name: "X Y" can't be the name of a header field
set header "X:" = "z" | set header "X" = "z"
    1:12+4 error bad-header-name: this can't be the name of a header field
include "more.rules", "b" | if size > 1 { include "more.rules" }; include optional "b"
    1:1+25 error bad-include: write `include "more.rules"`
include "{size}" | include "more.rules"
    1:9+8 error bad-include: the name of an included file is written out
include "nope" | include optional "nope"; include "nope*"
    1:9+6 error bad-include: there is no file nope
set mailboxs = "~/x" | set mailboxes = "~/x"
    1:5+8 error unknown-option: there is no option `mailboxs`; did you mean `mailboxes`?
set subject = "x" | set header "subject" = "x"
    1:5+7 error unknown-option: there is no option `subject`
if size > 1 { set default = "~/a" } | set default = "~/a"
    1:15+19 error option-inside: options are set at the top level, for every message
set default = "~/a", "~/b" | set me = "a@b.c", "d@e.f"
    1:1+26 error bad-option: write `set default = "~/Maildir"`
set me = "{from}" | set me = ["a@b.c"]
    1:1+17 error bad-option: write `set me = "bob@example.org", "bob@example.com"`
set mailboxes = "a" | set mailboxes = "/a"
    1:17+3 error bad-option: "a" is no place: write "~/Maildir" or a path from /
set mailboxes = "~/a" as "mh" | set mailboxes = "~/a" as "nested"
    1:23+2 error bad-option: write `set mailboxes = "~/Maildir"`; `as` takes "maildir++" or "nested" or "mbox"
set default = "~/a" as "nested" | set default = "~/a"
    1:21+2 error bad-option: write `set default = "~/Maildir"`
set default = "~/a"; set default = "~/b" | set default = "~/a"; set mailboxes = "~/b"
    1:22+19 error bad-option: `default` is set a second time
language 2 | language 1
    1:10+1 error bad-language: this release knows the language up to 1; the file was written for a newer one
if size > 1 { language 1 } | language 1; if size > 1 { keep }
    1:15+10 error bad-language: `language` stands at the top level
file | file "a", "b"
    1:1+4 error wrong-form: `file` is written `file "Work/Boss"`
discard for ever | discard for good
    1:1+16 error wrong-form: `discard` is written `discard` or `discard for good`
set header "X" | set header "X" = "a"
    1:1+14 error wrong-form: `set` is written `set header "X-Large" = "yes"`
log "a", "b" | label "a", "b"
    1:5+8 error wrong-form: one value stands here: `log "from {from.domain}"`
log 3 | log "3"
    1:5+1 error wrong-form: a text stands here: `log "from {from.domain}"`
label "a{subject}" | label "a\{subject\}"
    1:7+12 error wrong-form: labels are written out, without values in them
file Work | let Work = "Work"; file Work
    1:6+4 error unquoted: text stands in quotes: "Work"
log "" | log " "
    1:5+2 error empty-text: this text is empty
if subject starts with "" { keep } | if subject is "" { keep }
    1:24+2 error empty-text: every text starts with the empty text
mark seeen | mark seen, "flagged"
    1:6+5 error unknown-choice: `seeen` is nothing to mark; did you mean `seen`?
if now.weekday is "satuday" { keep } | if now.weekday in "Saturday", sunday { keep }; if now.weekday like "s*" { keep }
    1:19+9 error unknown-choice: `now.weekday` is never "satuday"; did you mean `saturday`?
subject | prefix subject "a"
    1:1+7 error no-action: `subject` begins a condition: expected `if` before it
let a = "x"; a; log a | let a = "x"; log a
    1:14+1 error no-action: `a` is a `let`: expected an action here
let a = "x"; if a { keep } | let a = condition size > 1; if a { keep }
    1:17+1 error not-a-condition: `a` is a value; a condition is given by `let a = condition …`
if size { keep } | if size exists { keep }
    1:4+4 error not-a-condition: `size` alone is no condition: write `size exists`, or compare it, as in `size > 10 MB`
if mailbox "a" { keep } | if mailbox "a" exists { keep }; if mailbox "a" not exists { log "b" }
    1:4+11 error not-a-condition: `mailbox` alone is no condition: write `mailbox "Work" exists`
if mailbox exists { keep } | if mailbox "A/b" exists { keep }
    1:4+7 error missing: `mailbox` is followed by a name in quotes: `mailbox "Work" exists`
if mailbox "{subject}" exists { keep } | if mailbox "a b" exists { keep }
    1:12+11 error missing: `mailbox` is followed by a name in quotes: `mailbox "Work" exists`
if mailbox "a" is "b" { keep } | if mailbox "a" exists and subject is "b" { keep }
    1:16+2 error wrong-operator: `mailbox` can't be asked with `is`; it takes exists
if bulk exists { keep } | if bulk { keep }; if not bulk { log "a" }
    1:9+6 error stands-alone: `bulk` is a condition by itself: write `bulk` or `not bulk`
if bulk is not "x" { keep } | let b = condition bulk and not automated; if b { keep }
    1:9+6 error stands-alone: `bulk` is a condition by itself: write `bulk` or `not bulk`
let a = bulk; if a { keep } | let a = condition bulk; if a { keep }
    1:18+1 error not-a-condition: `a` is a value; a condition is given by `let a = condition …`
log "{bulk}" | if bulk { log "bulk" }
    1:7+4 error no-value: `bulk` is a condition, `if bulk`, and has no text
if count bulk > 1 { keep } | if count to > 1 { keep }
    1:10+4 error no-value: `bulk` is a condition, `if bulk`, and can't be counted
if subject is bulk { keep } | if subject is "bulk" { keep }
    1:15+4 error wrong-kind: only texts and addresses can be compared with another field
if auth.spf is "passed" { keep } | if auth.spf is softfail { keep }; if auth.dmarc in "none", "fail" { log "a" }
    1:16+8 error unknown-choice: `auth.spf` is never "passed"; did you mean `pass`?
let a = "x" "y"; log "b" | let a = header "y"; log "b{a}"
    1:9+7 error not-a-field: a comparison begins with a field, like `from` or `subject`
if size is exactly 3 { keep } | if subject is exactly "3" { keep }
    1:9+10 error wrong-operator: `exactly` says nothing beside `is`
let c = condition size > 1; if from is c { keep } | let c = condition size > 1; if c { keep }
    1:40+1 error wrong-kind: `c` is a condition, not a value
if subject is null { keep } | if envelope.from is null { keep }
    1:15+4 error wrong-kind: only an address can be `null`: `envelope.from is null`
if subject matches /(?<a>x)/ and from is a { keep } | if subject matches /(?<a>x)/ and from is "{a}" { keep }
    1:42+1 error wrong-kind: a capture stands in a text: "{a}"
if size is from { keep } | if subject is from { keep }
    1:12+4 error wrong-kind: only texts and addresses can be compared with another field
if subject like from { keep } | if subject ends with from { keep }
    1:17+4 error wrong-kind: a field can't stand behind `like`
if subject like "{from}" { keep } | if subject like "\{from\}" { keep }
    1:17+8 error wrong-kind: a glob is written out, without values in it
if subject in file "a" "b" { keep } | if subject in optional file "a" { keep }
    1:15+12 error wrong-kind: a list file is written `in file "~/customers"`
if subject is file "b" { keep } | if subject is "b" { keep }
    1:15+8 error wrong-kind: a list file follows `in` behind a text or an address
if from in file "{size}" { keep } | if from in file "~/size" { keep }
    1:12+13 error wrong-kind: the name of a list file is written out, without values in it
if subject is 10 MB { keep } | if subject is 10 { keep }
    1:15+5 error wrong-kind: `subject` is text: write it in quotes
if subject matches "x" { keep } | let x = /x/; if subject matches x { keep }
    1:20+3 error wrong-kind: `matches` is followed by a /pattern/
if subject is /x/ { keep } | if subject matches /x/ { keep }
    1:15+3 error wrong-kind: a pattern follows `matches`, not `is`
if env.HOME is 192.0.2.0/24 { keep } | if env.HOME in 192.0.2.0/24, 2001:db8::/32 { keep }
    1:16+12 error wrong-kind: a network follows `in` behind a text that holds an IP address
if size is 3..9 { keep } | if size in 3..9 { keep }
    1:12+4 error wrong-kind: a range follows `in`, not `is`
if now in 2024-05-01..10:00 { keep } | if now in 22:00..10:00 { keep }
    1:11+17 error wrong-kind: the ends of a range are two dates, two dates with a time, or two times
if date is 3 { keep } | if date is 2026-12-24 { keep }
    1:12+1 error wrong-kind: `date` is compared with a date or a time: `2026-12-24`
if age > 3 { keep } | if size > 3 { keep }
    1:10+1 error wrong-kind: `age` is compared with something like `30 days`
if age > 3 dayz { keep } | if age > 3 days { keep }
    1:10+6 error bad-unit: `dayz` is no unit here; did you mean `day`?
if env.HOME in 192.0.2.1/33 { keep } | if env.HOME in 192.0.2.1/31 { keep }
    1:16+12 error bad-network: 192.0.2.1/33 is no network: '192.0.2.1/33' does not appear to be an IPv4 or IPv6 network
if date is 2023-02-29 { keep } | if date is 2024-02-29 { keep }
    1:12+10 error bad-date: there is no such day or time
if size in 9..3 { keep } | if size in 3..3 { keep }
    1:12+4 error empty-range: this range ends before it begins
if date in 2024-05-01..2024-04-30 { keep } | if date in 2024-05-01..2024-05-01 { keep }
    1:12+22 error empty-range: this range ends before it begins
log "a{1}" | let a = condition subject matches /(a)/; if a { log "{1}" }
    1:8+1 error no-capture: no pattern around here captures {1}
if subject not matches /(x)/ { log "a{1}" } | if subject matches /(x)/ or size < 9 { if size > 1 { log "{1}" } }
    1:39+1 error no-capture: no pattern around here captures {1}
score += 3 at least 5 | score += 3 at most 5
    1:12+2 error wrong-form: a limit is written `score += 0.5 at most 5 per body contains "$$$"`
score 3 | score += 3
    1:1+7 error wrong-form: `score` is written `score += 3 if subject contains "winner"`
points += 3 | score += 3
    1:1+6 error wrong-form: only the score can be added to: `score += 0.5 at most 5 per body contains "$$$"`
score += 1 per size > 3 | score += 1 per subject contains "x"
    1:16+8 error wrong-form: behind `per` stands what is counted, by `matches` or `contains`
score += 1 per subject not contains "x" | score += 1 if subject not contains "x"
    1:16+24 error wrong-form: behind `per` stands what is counted, by `matches` or `contains`
if any subject where size > 1 { keep } | if any attachment where size > 1 { keep }
    1:8+7 error not-many: `any` goes through attachment, not `subject`
if any attachment where nam is "x" { keep } | if any attachment where name is "x" and from is "a@b.c" { keep }
    1:25+3 error unknown-word: `nam` is not known here
if lower(size) is "1" { keep } | if lower(subject) is "1" { keep }
    1:10+4 error wrong-call: `size` is no text; `lower` is used like this: `lower(from.local) is exactly "jo"`
if slugg(subject) is "a" { keep } | if slug(subject) is "a" { keep }
    1:4+5 error unknown-function: `slugg` is no function of the language; did you mean `slug`?
if first(subject) is "a" { keep } | if first(subject, 1) is "a" { keep }
    1:4+14 error wrong-call: `first` is used like this: `first(subject, 1) is "["`
if first(subject, 0.5) is "a" { keep } | if first(subject, 1) is "a" { keep }
    1:19+3 error wrong-call: a whole number stands here: `first(subject, 1) is "["`
if lower is "a" { keep } | if lower(subject) is "a" { keep }
    1:4+5 error missing: `lower` needs what it is made of between parentheses: `lower(from.local) is exactly "jo"`
log "{lower(subject, from)}" | log "{lower(subject)}"
    1:7+20 error wrong-call: `lower` is used like this: `lower(from.local) is exactly "jo"`
if subject is lower(to, cc) { keep } | if subject is lower(to) { keep }
    1:15+13 error wrong-call: `lower` is used like this: `lower(from.local) is exactly "jo"`
if subject in lines(subject) { keep } | if subject in lines("~/x") { keep }
    1:15+14 error wrong-kind: a list file is written `in file "~/customers"`
let a = 3 MB; log "b{a}" | let a = 3; log "b{a}"
    1:22+1 error bad-value: `a` is no text and can't stand in one
if subject matches /x/i { keep } | if subject matches /x\/i/ { keep }
    1:20+4 error pattern-flags: patterns ignore case; drop the `i`
if subject matches /a(b/ { keep } | if subject matches /a(b)/ { keep }
    1:22+1 error bad-pattern: this ( is never closed
rule "a{size}" { keep } | rule "a\{size\}" { keep }
    1:6+9 error bad-rule-name: a rule's name is written out, without values in it
"""


def compiled(text: str, files: dict[str, str] | None = None) -> Compiled:
    return compile_rules(PATH, text.encode(), Library(files or {}), ("HOME", "CLIENT_ADDRESS"))


def shown(found: Diagnostic) -> str:
    hint = f"\nhint: {found.hint}" if found.hint else ""
    return f"{found.line}:{found.column}+{found.width} {found.severity} {found.name}: {found.message}{hint}"


def told(text: str, files: dict[str, str] | None = None) -> list[str]:
    """What is told about rules; behind the name of the file, where it is an included one."""
    found = compiled(text, files).diagnostics
    return [("" if one.file == PATH else f"{one.file}:") + shown(one) for one in found]


def log(text: str, files: dict[str, str]) -> list[str]:
    """What rules log about an empty message."""
    return list(judged(plan(text, files), b"\n", World(), Envelope()).log)


def rows() -> list[tuple[str, list[str], str]]:
    """(wrong rules, what is told about them, right rules) of the table."""
    made: list[tuple[str, list[str], str]] = []
    for line in TABLE.strip().splitlines():
        if not line.startswith(" "):
            wrong, right = line.split(" | ")
            made.append((wrong, [], right))
        elif line.startswith("    hint: "):
            made[-1][1][-1] += "\n" + line.strip()
        else:
            made[-1][1].append(line.strip())
    return made


@pytest.mark.parametrize(("wrong", "stated", "right"), rows(), ids=[wrong for wrong, _, _ in rows()])
def test_a_mistake_is_told_where_it_stands_and_what_comes_close_is_right(
    wrong: str, stated: list[str], right: str
) -> None:
    assert stated
    assert told(wrong, MORE) == stated
    assert told(right, MORE) == []
    # Only a warning leaves a plan.
    assert compiled(wrong, MORE).ok == (not any(" error " in one for one in stated))


def test_every_diagnostic_of_the_compiler_has_a_row() -> None:
    names = {"wrong-kind"}  # the name that `_wrong` gives where it is told no other
    at = {"error": 2, "warning": 2, "_wrong": 3, "add": 3}
    (room,) = pydeliver.language.__path__
    for module in ("compile", "conditions", "operands", "scope", "scores", "load"):
        for call in ast.walk(ast.parse(Path(room, f"{module}.py").read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                name = call.args[at[call.func.attr] :][:1] if call.func.attr in at else []
                names |= {one.value for one in name if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    in_rows = {one.split(":")[1].split()[-1] for _, stated, _ in rows() for one in stated}
    # What is too large has tests of its own; a shadowed rule is for the tests of `check`, a policy for those of parts.
    assert names - in_rows <= {"too-large", "shadowed", "policy"}


def test_a_diagnostic_names_the_file_and_shows_its_first_line() -> None:
    (found,) = compiled('mark seen # a\n\tlog "b",\n "c"').diagnostics
    assert (found.file, found.line, found.column, found.width, found.source) == (PATH, 2, 6, 4, '\tlog "b",')


def test_texts_that_grow_by_let_are_bounded() -> None:
    half = "x" * (MAX_TEXT // 2)
    rules = 'let a = "%s"\nlet b = "{a}{a}%s"\nif subject is b { keep }'
    assert told(rules % (half, "")) == []
    limit = f"written out, this text is longer than {MAX_TEXT:,} characters"
    assert told(rules % (half, "x")) == [f"2:9+9 error too-large: {limit}"]


def test_values_that_grow_by_let_are_bounded() -> None:
    rules = "\n".join(['let a0 = "x"', *[f"let a{i} = [{', '.join([f'a{i - 1}'] * 10)}]" for i in range(1, 5)]])
    assert told(f"{rules}\nif subject in a4 {{ discard }}") == []
    limit = f"written out, these rules hold more than {MAX_VALUES:,} values"
    assert told(f"{rules}\nif subject in {', '.join(['a4'] * 10)} {{ keep }}") == [f"1:10+3 error too-large: {limit}"]


SLIPS = r"""
file Work/Boss
let a = ?
let a = ?; if subject is a { keep }
if subject is "x { keep }
if from = "x" { file "y" }
if from is "a" or { keep }
if subject < exactly 3 { keep }
"""


@pytest.mark.parametrize("slip", SLIPS.split("\n")[1:-1])
def test_what_the_reader_has_told_is_not_told_again(slip: str) -> None:
    assert [one.line for one in compiled(f"{slip}\nlog 3").diagnostics if one.severity == "error"] == [1, 2]


def test_a_let_reaches_to_the_end_of_its_block_and_may_hide_one_outside() -> None:
    rules = 'let a = "out"\nif size > 0 { let a = "in"\n log a }\nlog a'
    assert log(rules, {}) == ["in", "out"]
    assert told('if size > 0 { let a = "in"\n log a }\nlog a') == ['3:5+1 error unquoted: text stands in quotes: "a"']


def test_the_names_in_a_let_mean_what_they_meant_where_it_stands() -> None:
    assert log('let a = "out"\nlet b = "{a}!"\nif size > 0 { let a = "in"\n log "{a} {b}" }', {}) == ["in out!"]


def test_an_included_file_runs_in_place_once_relative_to_the_file_that_names_it() -> None:
    files = {"/rules/a/b.rules": 'log "b"\ninclude "c.rules"\nlog "b again"', "/rules/a/c.rules": 'log "c"'}
    rules = 'log "1"\ninclude "a/b.rules"\nlog "2"\ninclude "a/b.rules"\ninclude "a/c.rules"'
    assert log(rules, files) == ["1", "b", "c", "b again", "2"]
    assert compiled(rules, files).files == (PATH, "/rules/a/b.rules", "/rules/a/c.rules")


def test_files_that_include_each_other_run_once() -> None:
    files = {PATH: "", "/rules/a.rules": 'include "b.rules"\nlog "a"', "/rules/b.rules": 'include "a.rules"\nlog "b"'}
    assert log('include "a.rules"\ninclude "main.rules"\nlog "main"', files) == ["b", "a", "main"]


def test_the_files_of_a_glob_run_in_the_order_of_their_bytes() -> None:
    files = {f"/rules/d/{name}.rules": f'log "{name}"' for name in ("b", "a", "Z", "10", "9")}
    assert log('include "d/*.rules"', files) == ["10", "9", "Z", "a", "b"]


def test_rules_are_made_of_so_many_files() -> None:
    files = {f"/rules/d/{number:03}.rules": 'log "a"' for number in range(MAX_FILES)}
    limit = f"1:9+{len('d/*.rules') + 2} error bad-include: at most {MAX_FILES} files make up the rules"
    assert told('include "d/*.rules"', files) == [limit]
    assert told('include "d/*[0-8].rules"', files) == []


class Refusing:
    """A library that finds every file and has none: `why` not."""

    def __init__(self, why: str | None) -> None:
        self.why = why

    def read(self, path: str) -> str | None:
        return self.why

    def find(self, path: str, base: str) -> tuple[str, ...]:
        return (path,)


def test_a_file_that_must_not_be_used_is_an_error_and_an_optional_one_that_is_gone_is_none() -> None:
    for why, rules, messages in (
        ("others can write it", b'include "a"', ["others can write it"]),
        ("others can write it", b'include optional "a"', ["others can write it"]),
        (None, b'include "a"', ["there is no file a"]),
        (None, b'include optional "a"', []),
    ):
        assert [one.message for one in compile_rules(PATH, rules, Refusing(why)).diagnostics] == messages


def test_what_is_told_about_an_included_file_names_it_and_stands_behind_what_is_told_about_the_first() -> None:
    files = {"/rules/a.rules": '\n fo\ninclude "b.rules"', "/rules/b.rules": "log Work/Boss", "/rules/c.rules": "ba"}
    assert told('include "c.rules"\ninclude "a.rules"\nzz\nkeep; keep', files) == [
        "3:1+2 error unknown-word: `zz` is not known here",
        "4:7+4 warning unreachable: no message gets here: the evaluation ends above",
        "/rules/c.rules:1:1+2 error unknown-word: `ba` is not known here",
        "/rules/a.rules:2:2+2 error unknown-word: `fo` is not known here",
        '/rules/b.rules:1:5+9 error unquoted-text: text stands in quotes: "Work/Boss"',
    ]


def test_an_included_file_knows_the_lets_above_it_and_is_as_deep_as_its_include() -> None:
    files = {"/rules/a.rules": "log a", "/rules/b.rules": 'set me = "a@b.c"\nlanguage 1\nlet unused = 1'}
    assert log('let a = "x"\ninclude "a.rules"', files) == ["x"]
    assert told('include "a.rules"\nlet a = "x"\nlog a', files) == [
        '/rules/a.rules:1:5+1 error unquoted: text stands in quotes: "a"'
    ]
    assert told('if size > 0 {\ninclude "b.rules"\n}', files) == [
        "/rules/b.rules:1:1+16 error option-inside: options are set at the top level, for every message",
        "/rules/b.rules:2:1+10 error bad-language: `language` stands at the top level",
        "/rules/b.rules:3:5+6 warning unused-let: this `let` is never used",
    ]


def test_names_built_on_names_too_deeply_are_a_mistake() -> None:
    text = "let c0 = condition from exists\n" + "".join([f"let c{n} = condition c{n - 1}\n" for n in range(1, 2000)])
    made = compiled(text + "if c1999 { keep }\n")
    assert {one.name for one in made.diagnostics if one.severity == "error"} == {"too-large"}


def test_files_include_each_other_only_so_deep() -> None:
    files = {f"/rules/{n}.rules": f'include "{n + 1}.rules"' for n in range(30)} | {"/rules/30.rules": "keep"}
    made = compile_rules(PATH, b'include "0.rules"', Library(files))
    assert [one.name for one in made.diagnostics] == ["bad-include"]


def test_an_included_name_is_known_from_there_on_and_given_once() -> None:
    files = {"/rules/names.rules": 'let boss = "boss@x"\n'}
    assert compile_rules(PATH, b'include "names.rules"\nif from is boss { keep }\n', Library(files)).ok
    made = compile_rules(PATH, b'include "names.rules"\nlet boss = "b@y"\nif from is boss { keep }\n', Library(files))
    assert [one.name for one in made.diagnostics if one.severity == "error"] == ["taken-name"]
    assert made.diagnostics[0].message.endswith("the first is in line 1 of /rules/names.rules")


def test_nobody_is_told_more_than_a_thousand_mistakes() -> None:
    made = compiled("\n".join([f"if frm{n} exists {{ keep }}" for n in range(3000)]))
    assert len(made.diagnostics) == 1000
