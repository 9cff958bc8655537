"""The YAML of `.agentkeys.yml`, taken event by event, so that nothing is built before it is judged.

No alias, no anchor, no tag, no second document, no word twice, MAX_DEPTH deep and MAX_EVENTS long. Every scalar is
text: `no` and `1e3` stay words.
"""

from collections.abc import Iterator

import yaml

from agentkeys.core import refs
from agentkeys.core.repo_manifest import Broken

MAX_DEPTH = 4
"""Levels of nesting: a mapping of lists of mappings is three."""

MAX_EVENTS = 20_000
"""Events of one file: 1,000 keys with every flag are 12,000."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where it is built in; the other one takes 64 KiB in a quarter of a second."""


class Place:
    """Where the list of an env stands in its file, for an edit."""

    def __init__(self, flow: bool, end: int, column: int, entries: int) -> None:
        self.flow = flow
        """Whether it is written [A, B]."""
        self.end = end
        """Offset behind the last entry; of an empty list that of its `]`; where there is no list, behind the word."""
        self.column = column
        """Of a block list, that of its dashes; -1 where there is no list."""
        self.entries = entries


def _line(event: "yaml.Event") -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _behind(event: "yaml.Event") -> int:
    return event.end_mark.index if event.end_mark else 0


class Reader:
    """Builds plain data from the events of one text."""

    def __init__(self, text: str) -> None:
        self.places: dict[str, Place] = {}
        """Where the lists of the outermost mapping stand, by their word."""
        self._count = 0
        self._end = 0
        """Offset behind the last scalar or closing bracket."""
        self._text = text
        self._events: Iterator[yaml.Event] = iter(())

    def document(self) -> object:
        """The one document's data, None when there is none. Raises Broken."""
        try:
            self._events = yaml.parse(self._text, Loader=LOADER)
            self._next()
            if isinstance(self._next(), yaml.StreamEndEvent):
                return None
            data = self._node(self._next(), 1, "")
            self._next()
            if not isinstance(self._next(), yaml.StreamEndEvent):
                raise Broken("it holds more than one document")
        except yaml.MarkedYAMLError as fault:
            line = fault.problem_mark.line + 1 if fault.problem_mark else 1
            raise Broken(f"line {line}: it is no YAML: {fault.problem}") from None
        except yaml.YAMLError:
            raise Broken("it is no YAML: it holds a character that no text has") from None
        return data

    def _next(self) -> "yaml.Event":
        self._count += 1
        if self._count > MAX_EVENTS:
            raise Broken(f"it holds over {MAX_EVENTS:,} things")
        return next(self._events)

    def _node(self, event: "yaml.Event", depth: int, word: str) -> object:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Broken(f"line {line}: anchors and aliases aren't taken")
        if getattr(event, "tag", None) not in (None, "!"):
            raise Broken(f"line {line}: tags aren't taken")
        if depth > MAX_DEPTH:
            raise Broken(f"line {line}: it is nested too deep")
        if isinstance(event, yaml.ScalarEvent):
            empty = not event.value and not event.style  # plain is None, or "" from libyaml
            if empty and word:
                self.places[word] = Place(False, self._end, -1, 0)
            self._end = max(self._end, 0 if empty else _behind(event))
            return None if empty else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth, word)
        return self._mapping(event, depth)

    def _sequence(self, start: "yaml.SequenceStartEvent", depth: int, word: str) -> "list[object]":
        found: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            found.append(self._node(event, depth + 1, ""))
        flow = bool(start.flow_style)
        if word:
            end = self._end if found else _behind(event) - 1
            self.places[word] = Place(flow, end, start.start_mark.column if start.start_mark else 0, len(found))
        if flow:
            self._end = _behind(event)
        return found

    def _mapping(self, start: "yaml.Event", depth: int) -> "dict[str, object]":
        found: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            line = _line(event)
            key = self._node(event, depth + 1, "") if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(key, str):
                raise Broken(f"line {line}: something other than a word stands before a colon")
            if key in found:
                raise Broken(f"line {line}: {refs.shown(key)} stands there twice")
            found[key] = self._node(self._next(), depth + 1, key if depth == 1 else "")
        if getattr(start, "flow_style", False):
            self._end = _behind(event)
        return found
