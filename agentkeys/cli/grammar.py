"""What a verb takes, as data: its options and arguments, declared once in its function's annotations.

A plain command line is read here, which takes a tenth of a millisecond. Help, mistakes and unusual spellings are left
to typer, which is made from the same declarations when it is wanted: to import it takes as long as all the rest of a
verb. So read() gives up wherever typer might see anything else than it does.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from agentkeys.errors import UsageFault

F = TypeVar("F", bound=Callable[..., object])

TEXTS, FLAG, LISTS = (str, str | None), bool, (list[str] | None, list[str])
"""What an option can be."""


class Option:
    """An option, by one or several names; a flag when its parameter is a bool."""

    def __init__(self, *names: str, metavar: str | None = None, help: str = "") -> None:  # noqa: A002 - typer's word
        self.names = names
        self.metavar = metavar
        self.help = help


class Argument:
    """What stands without a name; all that do when its parameter is a list."""

    def __init__(self, *, metavar: str, help: str = "") -> None:  # noqa: A002 - typer's word
        self.metavar = metavar
        self.help = help


class Leave(Exception):
    """A verb ends here, with this exit code, and everything was said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Command:
    """One verb: its function, and what that takes."""

    def __init__(self, function: Callable[..., object], settings: "dict[str, Any] | None") -> None:
        self.function = function
        self.settings = settings
        """Of click, for a verb whose words mean something else than usual; such a line isn't plain."""

    def refuse_empty(self, verb: str, words: "list[str]") -> None:
        """Raise UsageFault for an option's value or an argument that is empty: a variable that isn't set, most likely.

        To take it for the option's default would give `--for "$ROBOT"` the keys of the human.
        """
        kinds = self._options()
        left = words[::-1]
        while left and left[-1] != "--":
            word = left.pop()
            name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
            if not name.startswith("-") and self.settings:
                return  # the words of another program begin
            if kinds.get(name, FLAG) is not FLAG and not equals and left:
                value, equals = left.pop(), "="
            if not value and (equals or not word):
                raise UsageFault(f"{name or 'an argument'} is empty", f"agentkeys {verb} --help")

    def _options(self) -> "dict[str, object]":
        """The kind of each option, by each of its names."""
        found: dict[str, object] = {}
        for annotation in self.function.__annotations__.values():
            told = getattr(annotation, "__metadata__", ("",))[0]
            if isinstance(told, Option):
                found.update(dict.fromkeys(told.names, annotation.__origin__))
        return found

    def read(self, words: "list[str]") -> "dict[str, object] | None":
        """The function's arguments in a plain command line; None for anything else."""
        takes = {name: it for name, it in self.function.__annotations__.items() if name != "return"}
        options: dict[str, tuple[str, object]] = {}
        arguments: list[tuple[str, object]] = []
        for name, annotation in takes.items():
            kind, told = getattr(annotation, "__origin__", None), getattr(annotation, "__metadata__", ("",))[0]
            if isinstance(told, Option):
                options.update(dict.fromkeys(told.names, (name, kind)))
            elif isinstance(told, Argument):
                arguments.append((name, kind))
            else:
                return None
        if self.settings:
            return None
        found: dict[str, object] = {}
        unnamed: list[str] = []
        left = words[::-1]
        while left:
            word = left.pop()
            if not word.startswith("-"):
                unnamed.append(word)
                continue
            flag, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
            name, kind = options.get(flag, ("", None))
            if kind is FLAG and not equals:
                found[name] = True
                continue
            if not equals and left and not left[-1].startswith("-"):
                value, equals = left.pop(), "="
            if kind in LISTS and equals:
                found[name] = [*_texts(found.get(name)), value]
            elif kind in TEXTS and equals and name not in found:
                found[name] = value
            else:
                return None
        return self._with_unnamed(found, arguments, unnamed)

    def _with_unnamed(
        self, found: "dict[str, object]", arguments: "list[tuple[str, object]]", unnamed: "list[str]"
    ) -> "dict[str, object] | None":
        for name, kind in arguments:
            if kind in LISTS and unnamed:
                found[name], unnamed = unnamed, []
            elif unnamed:
                found[name] = unnamed.pop(0)
            elif name not in self._optional():
                return None
        return None if unnamed else found

    def _optional(self) -> "tuple[str, ...]":
        names = self.function.__code__.co_varnames[: self.function.__code__.co_argcount]
        return names[len(names) - len(self.function.__defaults__ or ()) :]

    def for_typer(self) -> Callable[..., object]:
        """The function with typer's own declarations for ours."""
        import inspect

        import typer

        def told(annotation: Any) -> Any:
            it = getattr(annotation, "__metadata__", ("",))[0]
            if isinstance(it, Option):
                return Annotated[annotation.__origin__, typer.Option(*it.names, metavar=it.metavar, help=it.help)]
            if isinstance(it, Argument):
                return Annotated[annotation.__origin__, typer.Argument(metavar=it.metavar, help=it.help)]
            return annotation

        def call(**values: object) -> object:
            return self.function(**values)

        plain = inspect.signature(self.function)
        parameters = [it.replace(annotation=told(it.annotation)) for it in plain.parameters.values()]
        call.__doc__, call.__name__ = self.function.__doc__, self.function.__name__
        call.__annotations__ = {it.name: it.annotation for it in parameters}
        call.__signature__ = plain.replace(parameters=parameters)  # type: ignore[attr-defined]  # PEP 362
        return call


def _texts(found: object) -> "list[str]":
    return found if isinstance(found, list) else []


class Family:
    """Verbs that one module has, and groups of verbs; `about` is what the help of a group says."""

    def __init__(self, about: str = "") -> None:
        self.about = about
        self.commands: dict[str, Command] = {}
        self.groups: dict[str, Family] = {}

    def command(self, name: str = "", context_settings: "dict[str, Any] | None" = None) -> Callable[[F], F]:
        """Decorate a verb's function; without a name the verb is called as the function is."""

        def add(function: F) -> F:
            self.commands[name or function.__name__] = Command(function, context_settings)
            return function

        return add

    def group(self, name: str, about: str) -> "Family":
        """Verbs behind a verb: `owner list`."""
        return self.groups.setdefault(name, Family(about))

    def plain(self, words: "list[str]") -> Callable[[], object] | None:
        """What runs the verb that a plain command line names, or None for typer to explain. Raises UsageFault."""
        name, *rest = words or [""]
        if name in self.groups:
            return self.groups[name].plain(rest)
        command = self.commands.get(name)
        if command is None:
            return None
        command.refuse_empty(name, rest)
        found = command.read(rest)
        if found is None:
            return None
        return lambda: command.function(**found)

    def only(self, name: str) -> "Family":
        """The family with one of its verbs: typer takes its time for each."""
        one = Family(self.about)
        one.commands = {it: command for it, command in self.commands.items() if it == name}
        one.groups = {it: group for it, group in self.groups.items() if it == name}
        return one

    def as_typer(self) -> Any:
        """The same for typer: no completion code, no rich, errors left to us."""
        import typer

        app = typer.Typer(
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            no_args_is_help=False,
            help=self.about or None,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        app.callback()(lambda: None)  # or a single verb would be the whole program
        for name, command in self.commands.items():
            app.command(name, context_settings=command.settings)(command.for_typer())
        for name, group in self.groups.items():
            app.add_typer(group.as_typer(), name=name)
        return app
