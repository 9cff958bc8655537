"""What a row found: figures with their spread, budgets and verdicts, and how they are printed.

A ratio is the median of the rounds' own ratios, so that a machine that slows down in the middle of a run slows
both halves of each; its spread is their 25th to 75th percentile. Over budget is a warning, over by more than a
quarter a failure: medians of a shared machine move by that much.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

SLACK = 1.25
"""A budget times this is where a run fails."""


@dataclass(frozen=True)
class Figure:
    """One measured thing against its budget, or without a budget: printed beside, judged by nobody."""

    row: str
    what: str
    value: float
    low: float
    high: float
    unit: str = "x"
    """`x` for a ratio, else the unit of `value` and `budget`."""
    budget: float | None = None
    at_least: bool = False
    """Whether the budget is a lower bound."""
    measured: str = ""
    """The subject's absolute value."""
    floor: str = ""
    """What it was compared with, and that one's absolute value."""

    @property
    def verdict(self) -> str:
        """`ok`, `over` for a warning, `FAIL`; empty without a budget."""
        if self.budget is None:
            return ""
        if self.at_least:
            return "ok" if self.value >= self.budget else "over" if self.value >= self.budget / SLACK else "FAIL"
        return "ok" if self.value <= self.budget else "over" if self.value <= self.budget * SLACK else "FAIL"

    def as_json(self) -> dict[str, object]:
        """Its fields and the verdict."""
        return {**asdict(self), "verdict": self.verdict}

    def __str__(self) -> str:
        spread = f"({_short(self.low)}-{_short(self.high)})" if self.low != self.high else ""
        sign = ">=" if self.at_least else "<="
        budget = "" if self.budget is None else f"{sign} {_short(self.budget)}"
        value = f"{_short(self.value)} {self.unit}"
        facts = f"{self.measured:>10}  {self.floor}".rstrip()
        return f"{self.row:>3}  {self.what:<46} {value:>9} {spread:<14} {budget:<8} {self.verdict:<4} {facts}"


@dataclass(frozen=True)
class Skip:
    """Something that could not be measured here, and why."""

    row: str
    what: str
    why: str

    def as_json(self) -> dict[str, object]:
        """Its fields."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.row:>3}  {self.what:<46} skipped: {self.why}"


Findings = list[Figure | Skip]


def compare(
    row: str,
    what: str,
    subject: Sequence[float],
    reference: Sequence[float],
    floor: str,
    unit: str = "ms",
    budget: float | None = None,
    at_least: bool = False,
) -> Figure:
    """The ratio of two series of the same rounds; `floor` names the reference, `unit` is that of both series."""
    ratios = [one / other for one, other in zip(subject, reference, strict=True)]
    low, middle, high = quartiles(ratios)
    return Figure(
        row,
        what,
        middle,
        low,
        high,
        budget=budget,
        at_least=at_least,
        measured=f"{_short(statistics.median(subject))} {unit}",
        floor=f"{floor} {_short(statistics.median(reference))} {unit}",
    )


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The 25th percentile, the median and the 75th."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _short(value: float) -> str:
    """Three figures, without needless zeros behind a whole number."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}".rstrip("0")
