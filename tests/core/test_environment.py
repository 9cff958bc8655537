"""Which names never become a variable unasked; the lists are those of others, quoted here."""

import pytest

from agentkeys.core import environment
from agentkeys.core.secret import Secret
from agentkeys.errors import Denied, UsageFault

SUDO = (
    "IFS CDPATH LOCALDOMAIN RES_OPTIONS HOSTALIASES NLSPATH PATH_LOCALE LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT "
    "DYLD_INSERT_LIBRARIES DYLD_LIBRARY_PATH KRB5_CONFIG KRB5_KTNAME TERMINFO TERMINFO_DIRS TERMPATH TERMCAP ENV "
    "BASH_ENV PS4 GLOBIGNORE BASHOPTS SHELLOPTS JAVA_TOOL_OPTIONS PERLIO_DEBUG PERLLIB PERL5LIB PERL5OPT PERL5DB FPATH "
    "NULLCMD READNULLCMD ZDOTDIR TMPPREFIX PYTHONHOME PYTHONPATH PYTHONINSPECT PYTHONUSERBASE RUBYLIB RUBYOPT"
).split()
"""initial_badenv_table of sudo's plugins/sudoers/env.c, without the names of AIX, HP-UX, IRIX and Tru64."""

GLIBC = (
    "GCONV_PATH GETCONF_DIR GLIBC_TUNABLES HOSTALIASES LD_AUDIT LD_BIND_NOT LD_DEBUG LD_DEBUG_OUTPUT "
    "LD_DYNAMIC_WEAK LD_LIBRARY_PATH LD_ORIGIN_PATH LD_PRELOAD LD_PROFILE LD_SHOW_AUXV LOCALDOMAIN LOCPATH "
    "MALLOC_ARENA_MAX MALLOC_CHECK_ MALLOC_TRACE NIS_PATH NLSPATH RESOLV_HOST_CONF RES_OPTIONS TMPDIR TZDIR"
).split()
"""Names that glibc drops when it starts a set-user-ID program: sysdeps/generic/unsecvars.h."""

MORE = (
    "PATH PYTHONSTARTUP PYTHONBREAKPOINT PYTHONWARNINGS NODE_OPTIONS NODE_PATH GIT_SSH_COMMAND GIT_EXEC_PATH "
    "GIT_CONFIG_COUNT GIT_PROXY_COMMAND EDITOR VISUAL PAGER LESSOPEN BROWSER PROMPT_COMMAND HTTPS_PROXY "
    "https_proxy ALL_PROXY NO_PROXY SSL_CERT_FILE SSLKEYLOGFILE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS "
    "CURL_CA_BUNDLE PIP_INDEX_URL npm_config_registry JAVA_OPTS CLASSPATH RUSTC_WRAPPER OPENSSL_CONF HOME SHELL "
    "XDG_RUNTIME_DIR XDG_CONFIG_HOME SSH_AUTH_SOCK AGENTKEYS_SOCK AGENTKEYS_OWNER AGENTKEYS_ANYTHING"
).split()

CREDENTIALS = (
    "GITHUB_TOKEN GH_TOKEN GIT_TOKEN GITLAB_TOKEN OPENAI_API_KEY ANTHROPIC_API_KEY AWS_ACCESS_KEY_ID "
    "AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN STRIPE_KEY DATABASE_URL NPM_TOKEN PGPASSWORD SENTRY_AUTH_TOKEN "
    "CLOUDFLARE_API_TOKEN HF_TOKEN KEY A _ x PATHS MY_PATH OLD_LD_PRELOAD"
).split()


@pytest.mark.parametrize("name", sorted({*SUDO, *GLIBC, *MORE}))
def test_a_name_that_changes_how_code_is_loaded_is_denied(name: str) -> None:
    """Giving a process a token must not mean running something in it; only the operator can allow that name."""
    with pytest.raises(Denied) as refusal:
        environment.check_injectable(name, "KEY", frozenset())
    assert name in refusal.value.message
    assert "--key KEY=OTHER_NAME" in refusal.value.hint
    with pytest.raises(Denied):
        environment.check_injectable(name, "KEY", frozenset({name + "X", "*", ""}))
    environment.check_injectable(name, "KEY", frozenset({name}))


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_s_name_needs_no_permission(name: str) -> None:
    """The names that keys really have pass."""
    environment.check_injectable(name, "KEY", frozenset())
    assert not environment.loads_code(name)


@pytest.mark.parametrize("name", ["A", "GITHUB_TOKEN", "X" * 128])
def test_the_kernel_s_limit_counts_name_and_value(name: str) -> None:
    """NAME=value and its NUL are 128 KiB at most (execve(2), MAX_ARG_STRLEN); one byte more is refused."""
    room = 128 * 1024 - len(name) - 2
    environment.check_value(name, "KEY", Secret(bytes([65]) * room))
    with pytest.raises(UsageFault, match="128 KiB"):
        environment.check_value(name, "KEY", Secret(bytes([65]) * (room + 1)))


def test_a_nul_is_refused_anywhere() -> None:
    """The kernel would cut the value there."""
    environment.check_value("A", "KEY", Secret(b""))
    for value in (b"\0", b"\0a", b"a\0", b"a\0b"):
        with pytest.raises(UsageFault, match="NUL"):
            environment.check_value("A", "KEY", Secret(value))
