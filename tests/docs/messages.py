"""Reads the messages of errors out of the source, as far as a test can tell them without running it.

What is put into a message while the program runs is one word of capitals in the documentation: PATH, or 'NAME'.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from agentkeys import errors
from tests.docs.pages import REPO

HOLE = r"'?[A-Z][A-Z_]*'?"

HOLES = {
    "besides": rf"(?:; of no use is {HOLE})?",
    "cause": rf"(?:{HOLE}|its interpreter is missing)",
    "by": "(?:, which AGENTKEYS_OWNER names)?",
    "event.peer.limited": "a process of another login session",
    "here": "(?:here|in HOME)",
    "slot(card.owner)": "identity-OWNER",
    "known": rf"(?:; there is {HOLE}|{HOLE})",
    "there": "(?:; it is in env ENVS)?",
    "where": "(?: at FILE:N)",
    "which": "(?:is another agent|are other agents)",
    "who": "pid N",
    "word": "(?:expired|locked)",
}
"""What stands for an expression that is more than one name, path or number; by the expression."""

MAKERS = {"_error": (2, 1), "_refuse": (1, None)}
"""Functions of the agent that write an error reply: which argument is the message, and which the exit code."""


@dataclass(frozen=True)
class Saying:
    """One place in the source that makes an error."""

    where: str
    """file:line."""
    source: str
    """The message, as the source has it."""
    pattern: re.Pattern[str] | None
    """How the documentation may write it; None when the message comes from elsewhere."""
    codes: frozenset[int] | None
    """The exit codes it can have; None when only a run can tell."""

    def is_said_by(self, message: str, code: int) -> bool:
        """Whether a row of the documentation is about this."""
        fits = self.pattern is not None and self.pattern.fullmatch(message) is not None
        return fits and (self.codes is None or code in self.codes)


def sayings() -> list[Saying]:
    """All that the package has, in the order of files and lines."""
    trees = {path: ast.parse(path.read_text()) for path in sorted((REPO / "agentkeys").rglob("*.py"))}
    codes = _error_classes(list(trees.values()))
    found = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for call, message, code in _made(node, codes):
                where = f"{path.relative_to(REPO)}:{call.lineno}"
                found.append(Saying(where, ast.unparse(message), pattern(message), code))
    return found


def pattern(message: ast.expr) -> re.Pattern[str] | None:
    """How documentation writes a message; None when no part of it stands in the source."""
    text = _regex(message)
    return re.compile(text) if text != HOLE else None


def _regex(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return re.escape(str(part.value))
    if isinstance(part, ast.JoinedStr):
        return "".join(map(_regex, part.values))
    if isinstance(part, ast.BinOp) and isinstance(part.left, ast.Constant):
        return _regex(part.left) + _regex(part.right)
    if isinstance(part, ast.FormattedValue):
        return HOLES.get(ast.unparse(part.value), HOLE)
    return HOLE


def _error_classes(trees: list[ast.Module]) -> dict[str, ast.ClassDef]:
    """The package's errors by name, each with its definition."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found: dict[str, ast.ClassDef] = {}
    while True:
        more = {
            one.name: one
            for one in classes
            if one.name not in found
            and (
                one.name == "AgentkeysError" or {base.id for base in one.bases if isinstance(base, ast.Name)} & {*found}
            )
        }
        if not more:
            return found
        found.update(more)


def _made(node: ast.AST, classes: dict[str, ast.ClassDef]) -> list[tuple[ast.Call, ast.expr, frozenset[int] | None]]:
    """The errors made by one node: by a call, or by the constructor of a class that words its message itself."""
    if isinstance(node, ast.ClassDef) and node.name in classes and node.name != "AgentkeysError":
        return [
            (call, call.args[0], frozenset({_class_code(node.name, classes)}))
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__"
        ]
    if not isinstance(node, ast.Call):
        return []
    name = ast.unparse(node.func).rpartition(".")[2]
    if name in classes:
        if name != "AgentkeysError" and any(isinstance(one, ast.FunctionDef) for one in classes[name].body):
            return []
        code = _codes(node.args[2]) if len(node.args) > 2 else frozenset({_class_code(name, classes)})
        return [(node, node.args[0], code)]
    if name in MAKERS:
        at, code_at = MAKERS[name]
        return [(node, node.args[at], frozenset({errors.USAGE}) if code_at is None else _codes(node.args[code_at]))]
    return []


def _codes(code: ast.expr) -> frozenset[int] | None:
    if isinstance(code, ast.IfExp):
        one, other = _codes(code.body), _codes(code.orelse)
        return one | other if one and other else None
    value = getattr(errors, ast.unparse(code).removeprefix("errors."), None)
    return frozenset({value}) if isinstance(value, int) else None


def _class_code(name: str, classes: dict[str, ast.ClassDef]) -> int:
    while not hasattr(errors, name):
        name = ast.unparse(classes[name].bases[0])
    code = getattr(errors, name).exit_code
    assert isinstance(code, int)
    return code


def rows(page: Path) -> list[tuple[str, int]]:
    """The messages in a page's tables, each with its exit code."""
    found = re.findall(r"^\| `(.+?)` \| (\d+) \|", page.read_text(), re.MULTILINE)
    return [(message, int(code)) for message, code in found]
