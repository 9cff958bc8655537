"""Credentials that announce themselves as long-lived by their first letters, and what to use instead.

From the issuers' own documentation of their token formats (GitHub, AWS IAM identifiers, Stripe, Slack, GitLab, npm,
PyPI, Google Cloud, Hugging Face, DigitalOcean, SendGrid; RFC 7468 for PEM). Short-lived relatives with a letter of
their own (ghs_, ASIA, ya29.) are left alone.
"""

SHORTEST = 16
"""Bytes: what is shorter than any of these tokens is a word that happens to begin so."""

LONG_LIVED = (
    (b"ghp_", "a GitHub personal access token (classic)", "a fine-grained token with an end, or a GitHub App's"),
    (b"github_pat_", "a GitHub fine-grained token", "a GitHub App's installation token, which lives an hour"),
    (b"gho_", "a GitHub OAuth token", "a GitHub App's installation token, which lives an hour"),
    (b"ghu_", "a GitHub App's user token", "an installation token, which lives an hour"),
    (b"ghr_", "a GitHub refresh token", "an installation token, which lives an hour"),
    (b"AKIA", "an AWS access key", "IAM Identity Center or a role's temporary credentials (ASIA…)"),
    (b"sk_live_", "a Stripe live secret key", "a restricted key (rk_live_…) with the fewest rights"),
    (b"rk_live_", "a Stripe live restricted key", ""),
    (b"xoxb-", "a Slack bot token", "token rotation, which makes it live 12 hours"),
    (b"xoxp-", "a Slack user token", "token rotation, which makes it live 12 hours"),
    (b"xoxa-", "a Slack token", ""),
    (b"xoxr-", "a Slack refresh token", ""),
    (b"xoxs-", "a Slack token", ""),
    (b"glpat-", "a GitLab personal access token", "a CI job's own token, or one with an end"),
    (b"npm_", "an npm access token", "trusted publishing from CI"),
    (b"pypi-", "a PyPI token", "trusted publishing from CI"),
    (b"AIza", "a Google API key", "a service account's short-lived token"),
    (b"sk-ant-", "an Anthropic API key", ""),
    (b"sk-proj-", "an OpenAI API key", ""),
    (b"hf_", "a Hugging Face token", ""),
    (b"dop_v1_", "a DigitalOcean token", ""),
    (b"SG.", "a SendGrid API key", ""),
)
"""(first bytes, what it is, the short-lived alternative or "")."""

PEM_KEYS = (b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----")
"""How the first line of a private key in PEM or OpenPGP armor ends."""


def long_lived(value: bytes) -> "tuple[str, str] | None":
    """(what it looks like, what to use instead or "") for a long-lived shape; None for anything else."""
    if len(value) < SHORTEST:
        return None
    for start, what, instead in LONG_LIVED:
        if value.startswith(start) and b"\n" not in value.strip():
            return what, instead
    if value.startswith(b"-----BEGIN ") and value.split(b"\n", 1)[0].strip().endswith(PEM_KEYS):
        return "a private key", "a certificate that ends soon, or a key that stays in hardware"
    return None
