"""Which names may be put into a process's environment.

A variable that changes how programs load or run code turns "give this process a token" into "run this in that
process", so such names are refused unless the operator's own config allows them by name. The list follows
sudo's and glibc's, and what interpreters document; it is data to extend.
"""

from agentkeys.core.secret import Secret
from agentkeys.errors import Denied, UsageFault

MAX_ENTRY = 128 * 1024
"""Bytes of NAME=value with its NUL: Linux's MAX_ARG_STRLEN, 32 pages (execve(2)); a longer one fails as E2BIG."""

MAX_TOTAL = 2 * 1024 * 1024
"""Bytes of all injected entries: Linux gives arguments and environment a quarter of the stack's 8 MiB (execve(2))."""

_EXACT = frozenset(
    # the dynamic loader and libc
    "GCONV_PATH GETCONF_DIR GLIBC_TUNABLES HOSTALIASES LOCALDOMAIN LOCPATH MALLOC_TRACE NIS_PATH NLSPATH "
    "RESOLV_HOST_CONF "
    "PATH_LOCALE RES_OPTIONS TERMPATH TMPDIR TMPPREFIX TZDIR KRB5_CONFIG KRB5_KTNAME "
    # shells, and what a shell finds
    "PATH IFS ENV BASH_ENV BASH_LOADABLES_PATH BASHOPTS SHELLOPTS NULLCMD READNULLCMD PROMPT_COMMAND PS0 PS1 PS2 "
    "PS3 PS4 CDPATH FPATH "
    "FIGNORE GLOBIGNORE ZDOTDIR SHELL HOME TERMINFO TERMINFO_DIRS TERMCAP USER LOGNAME PWD OLDPWD "
    # interpreters and virtual machines
    "NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE NODE_EXTRA_CA_CERTS PERL5OPT PERL5LIB PERLLIB PERL5DB "
    "PERLIO_DEBUG RUBYOPT RUBYLIB RUBYSHELL GEM_HOME GEM_PATH BUNDLE_GEMFILE JAVA_TOOL_OPTIONS _JAVA_OPTIONS "
    "JDK_JAVA_OPTIONS JAVA_OPTS CLASSPATH MAVEN_OPTS GRADLE_OPTS LUA_PATH LUA_CPATH LUA_INIT PHPRC PHP_INI_SCAN_DIR "
    "GOFLAGS GOROOT GOTOOLDIR RUSTFLAGS RUSTC RUSTC_WRAPPER CARGO_HOME DOTNET_STARTUP_HOOKS COR_PROFILER "
    "CORECLR_PROFILER DENO_DIR R_PROFILE R_ENVIRON TCLLIBPATH OPENSSL_CONF OPENSSL_ENGINES OPENSSL_MODULES "
    # programs that programs run
    "EDITOR VISUAL PAGER MANPAGER BROWSER LESSOPEN LESSCLOSE SSH_ASKPASS SUDO_ASKPASS SSH_AUTH_SOCK "
    "PKCS11_MODULE_PATH "
    # where traffic goes and whom it trusts
    "HTTP_PROXY HTTPS_PROXY ALL_PROXY FTP_PROXY NO_PROXY http_proxy https_proxy all_proxy ftp_proxy no_proxy "
    "SSL_CERT_FILE SSL_CERT_DIR SSLKEYLOGFILE CURL_CA_BUNDLE CURL_HOME REQUESTS_CA_BUNDLE XDG_RUNTIME_DIR "
    "XDG_CONFIG_HOME XDG_DATA_HOME XDG_CONFIG_DIRS XDG_DATA_DIRS DBUS_SESSION_BUS_ADDRESS".split()
)

_PREFIXES = (
    "LD_",
    "DYLD_",
    "PYTHON",
    "GIT_",
    "BASH_FUNC_",
    "AGENTKEYS_",
    "NPM_CONFIG_",
    "npm_config_",
    "PIP_",
    "RUBY_GC_",
    "MALLOC_",
)

_HARMLESS = frozenset("GIT_TOKEN GIT_PASSWORD GIT_USERNAME PIP_TOKEN PYTHON_KEYRING_PASSWORD".split())
"""Plain credentials that a prefix would catch."""


def loads_code(name: str) -> bool:
    """Whether `name` can change how a program loads or runs code, or where it sends data."""
    return name in _EXACT or (name.startswith(_PREFIXES) and name not in _HARMLESS)


def check_injectable(name: str, key: str, allowed: "frozenset[str]") -> None:
    """Raise Denied when the variable `name`, for `key`, is refused and not among the operator's `allowed` names."""
    if loads_code(name) and name not in allowed:
        raise Denied(
            f"{name} changes how programs load or run code; it is not put into an environment "
            "unless config.toml names it in exec.allow_names",
            f"agentkeys exec --key {key}=OTHER_NAME -- command",
        )


def check_value(name: str, key: str, value: Secret) -> None:
    """Raise UsageFault when the kernel would refuse the variable NAME=value, or cut it at a NUL."""
    hint = f"agentkeys get {key}"
    if len(name) + len(value) + 2 > MAX_ENTRY:
        raise UsageFault(f"{name} is over the kernel's limit of 128 KiB for one variable", hint)
    if value.holds_nul():
        raise UsageFault(f"{name} holds a NUL byte, which no environment variable can", hint)
