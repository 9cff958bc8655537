"""A person at a terminal: what is asked, and what is answered."""

import pexpect

from tests.support.runner import Runner


def converse(
    cli: Runner,
    *args: str,
    replies: "list[tuple[bytes, bytes]]",
    reveals: bool = False,
    env: "dict[str, str] | None" = None,
) -> tuple[int, bytes]:
    """Run on a terminal, answer each question (its text, the answer) in turn; (exit code, all that was shown)."""
    child = cli.on_tty(*args, reveals=reveals, env=env)
    shown = b""
    for question, answer in replies:
        child.expect_exact(question)
        shown += child.before + question
        child.sendline(answer)
    child.expect(pexpect.EOF)
    shown += child.before
    child.close()
    assert child.exitstatus is not None, shown
    return child.exitstatus, shown
