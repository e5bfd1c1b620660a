"""What a part found, as counts: a row of a table to read, and a line of JSON for the reliability page."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field

HELD, FAILED, CAUGHT, MISSED, UNPROVEN, MEASURED = "held", "FAILED", "caught", "MISSED", "unproven", "-"
DOORS = ("lmtp", "smtp")  # of the server of our own
OURS = ("pydeliver", *DOORS)  # what must hold: started by a mail server, and through our own
EXAMPLES = 8


@dataclass
class Row:
    """One agent in one case of a part. `bad` counts what may not happen, `told` what is told for its own sake."""

    part: str
    case: str
    agent: str
    bad: Counter[str] = field(default_factory=Counter)
    told: dict[str, float] = field(default_factory=dict)
    runs: int = 0
    examples: list[str] = field(default_factory=list)  # of what was bad, enough to repeat it
    unproven: str = ""  # why nothing was measured

    def add(self, problems: list[str], example: str = "") -> None:
        """Count one run and its problems."""
        self.runs += 1
        if sys.stderr.isatty():
            print(f"\r{self.part} {self.case} {self.agent}: {self.runs} ", end="\r", file=sys.stderr)
        self.bad.update(problems)
        if problems and len(self.examples) < EXAMPLES:
            self.examples.append(f"{example}: {', '.join(problems)}")

    def tell(self, name: str, count: float = 1) -> None:
        self.told[name] = self.told.get(name, 0) + count

    def at_most(self, name: str, most: float) -> None:
        """Count what is told as bad where pydeliver has more of it than this."""
        if self.agent == "pydeliver" and self.told.get(name, 0) > most:
            self.bad[f"{name} too often"] = int(self.told[name])

    @property
    def verdict(self) -> str:
        """A careless agent must be caught, pydeliver must hold; the others are measured."""
        bad = self.bad.total() > 0
        if self.unproven or not self.runs:
            return UNPROVEN
        if self.agent.startswith("careless"):
            return CAUGHT if bad else MISSED
        if self.agent in OURS:
            return FAILED if bad else HELD
        return MEASURED

    @property
    def text(self) -> str:
        bad = " ".join(f"{name}={count}" for name, count in sorted(self.bad.items())) or "nothing bad"
        told = " ".join(f"{name}={round(count, 2):g}" for name, count in sorted(self.told.items()))
        figures = self.unproven or (f"{bad}; {told}" if told else bad)
        return f"{self.part:12} {self.case:22} {self.agent:12} {self.runs:6}  {self.verdict:8}  {figures}"

    @property
    def json(self) -> str:
        names = ("part", "case", "agent", "runs", "verdict", "bad", "told", "examples", "unproven")
        return json.dumps({name: getattr(self, name) for name in names})


HEADING = f"{'part':12} {'case':22} {'agent':12} {'runs':>6}  {'verdict':8}  counts"
