"""Long-lived credentials are known by their first letters, and by nothing that an innocent value shares."""

import pytest

from agentkeys.core import token_shapes
from agentkeys.core.token_shapes import long_lived

BODY = b"0123456789abcdefghij"
"""What follows the first letters; the issuers' own bodies are at least as long."""

SHAPES = {
    b"ghp_": "GitHub personal access token",
    b"github_pat_": "GitHub fine-grained",
    b"gho_": "GitHub OAuth",
    b"ghu_": "GitHub App's user token",
    b"ghr_": "GitHub refresh",
    b"AKIA": "AWS access key",
    b"sk_live_": "Stripe live secret",
    b"rk_live_": "Stripe live restricted",
    b"xoxb-": "Slack bot",
    b"xoxp-": "Slack user",
    b"xoxa-": "Slack",
    b"xoxr-": "Slack refresh",
    b"xoxs-": "Slack",
    b"glpat-": "GitLab personal",
    b"npm_": "npm",
    b"pypi-": "PyPI",
    b"AIza": "Google API key",
    b"sk-ant-": "Anthropic",
    b"sk-proj-": "OpenAI",
    b"hf_": "Hugging Face",
    b"dop_v1_": "DigitalOcean",
    b"SG.": "SendGrid",
}


def test_the_table_here_is_whole() -> None:
    """A shape that is added is added here, too."""
    assert {start for start, _what, _instead in token_shapes.LONG_LIVED} == set(SHAPES)


@pytest.mark.parametrize("start", SHAPES)
def test_a_long_lived_shape_is_known(start: bytes) -> None:
    """By its issuer's name; a line break at its end, as files have, doesn't hide it."""
    for value in (start + BODY, start + BODY + b"\n", start + BODY + b"\r\n"):
        found = long_lived(value)
        assert found is not None
        assert SHAPES[start] in found[0]


@pytest.mark.parametrize("start", SHAPES)
def test_no_shape_hides_another(start: bytes) -> None:
    """No first letters begin with another's, so the order of the table is of no consequence."""
    assert [other for other in SHAPES if start.startswith(other)] == [start]


LABELS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY",
          "PGP PRIVATE KEY BLOCK")  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_private_key_is_known(label: str, end: str) -> None:
    """In PEM and in OpenPGP's armor, whatever made it."""
    text = f"-----BEGIN {label}-----{end}MIIB0123456789{end}-----END {label}-----{end}"
    found = long_lived(text.encode())
    assert found is not None
    assert found[0] == "a private key"


NEAR_MISSES = {
    "nothing": b"",
    "a short-lived installation token": b"ghs_" + BODY,
    "temporary AWS credentials": b"ASIA" + BODY,
    "a Google access token": b"ya29." + BODY,
    "a Slack token of token rotation": b"xoxe.xoxb-1-" + BODY,
    "a Stripe test key": b"sk_test_" + BODY,
    "a Stripe publishable key": b"pk_live_" + BODY,
    "a GitLab CI job token": b"glcbt-" + BODY,
    "other capitals": b"GHP_" + BODY,
    "letters before it": b"x" + b"ghp_" + BODY,
    "a space before it": b" ghp_" + BODY,
    "an assignment": b"TOKEN=ghp_" + BODY,
    "a URL with one": b"https://ghp_" + BODY + b"@github.com",
    "the letters alone": b"ghp_",
    "a word that begins so": b"hf_cache",
    "one byte too short": b"npm_" + b"x" * (token_shapes.SHORTEST - 5),
    "a text whose first line is one": b"ghp_" + BODY + b"\nand more\n",
    "a certificate": b"-----BEGIN CERTIFICATE-----\nMIIB0123456789\n-----END CERTIFICATE-----\n",
    "a public key": b"-----BEGIN PUBLIC KEY-----\nMIIB0123456789\n-----END PUBLIC KEY-----\n",
    "a PGP message": b"-----BEGIN PGP MESSAGE-----\n\n0123456789\n-----END PGP MESSAGE-----\n",
    "an ssh public key": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ana@example",
    "JSON": b'{"token": "ghp_' + BODY + b'"}',
    "any bytes": bytes(range(256)),
    "UTF-16": "ghp_0123456789abcdefghij".encode("utf-16"),
}


@pytest.mark.parametrize("value", NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_a_near_miss_is_left_alone(value: bytes) -> None:
    """A warning that is often wrong is never read."""
    assert long_lived(value) is None


def test_the_shortest_is_known() -> None:
    """The length counts with the first letters."""
    assert long_lived(b"npm_" + b"x" * (token_shapes.SHORTEST - 4)) is not None


def test_what_is_said_holds_nothing_of_the_value() -> None:
    """Not even its beginning beyond the shape's own."""
    for start in SHAPES:
        what, instead = long_lived(start + BODY) or ("", "")
        assert BODY.decode()[:4] not in what + instead
