"""GitHub's expression language, as far as ordinary workflows use it.

Source of the rules: GitHub's "Evaluate expressions in workflows and actions": loose equality,
strings compared without regard to case, ``&&`` and ``||`` answering an operand, a missing
property answering the empty string.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|'(?P<string>(?:[^']|'')*)'"
    r"|(?P<name>[A-Za-z_][\w-]*)|(?P<mark>&&|\|\||==|!=|<=|>=|[!<>()\[\].,]))"
)
_PLACE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_STATUS = re.compile(r"\b(?:success|failure|always|cancelled)\s*\(")
_WORDS = {"true": True, "false": False, "null": None}
_END = ("end", "")

Context = Mapping[str, Any]


class ExpressionError(Exception):
    """The expression cannot be read, or names a context or function that does not exist."""


def to_text(value: Any) -> str:
    """A value as GitHub writes it into a string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _number(value: Any) -> float:
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if type(left) is type(right):
        return bool(left == right)
    return _number(left) == _number(right)


def _less(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() < right.lower()
    return _number(left) < _number(right)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(_equal(item, what) for item in where)
    return to_text(what).lower() in to_text(where).lower()


def _format(template: Any, *values: Any) -> str:
    texts = [to_text(value) for value in values]
    return re.sub(r"\{(\d+)\}", lambda m: texts[int(m[1])], to_text(template))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": lambda s, t: to_text(s).lower().startswith(to_text(t).lower()),
    "endswith": lambda s, t: to_text(s).lower().endswith(to_text(t).lower()),
    "format": _format,
    "join": lambda items, by=",": to_text(by).join(map(to_text, items)),
    "tojson": lambda value: json.dumps(value, indent=2),
    "fromjson": lambda text: json.loads(text),
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<": _less,
    ">": lambda a, b: _less(b, a),
    "<=": lambda a, b: not _less(b, a),
    ">=": lambda a, b: not _less(a, b),
}


class _Reader:
    """Reads and evaluates one expression, by recursive descent."""

    def __init__(self, text: str, context: Context) -> None:
        self.text, self.context = text, context
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if not match:
                raise ExpressionError(f"Unexpected symbol: '{text[at:].strip()}'")
            self.tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            at = match.end()
        self.tokens.append(_END)

    def accept(self, *marks: str) -> str:
        kind, value = self.tokens[0]
        if kind != "mark" or value not in marks:
            return ""
        self.tokens.pop(0)
        return value

    def expect(self, mark: str) -> None:
        if not self.accept(mark):
            raise ExpressionError(f"Expected '{mark}' in '{self.text.strip()}'")

    def whole(self) -> Any:
        value = self.either()
        if self.tokens != [_END]:
            raise ExpressionError(f"Unexpected symbol: '{self.tokens[0][1]}'")
        return value

    def either(self) -> Any:
        value = self.both()
        while self.accept("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.comparison()
        while self.accept("&&"):
            other = self.comparison()
            value = value and other
        return value

    def comparison(self) -> Any:
        value = self.unary()
        while mark := self.accept(*_COMPARE):
            value = _COMPARE[mark](value, self.unary())
        return value

    def unary(self) -> Any:
        return not self.unary() if self.accept("!") else self.value()

    def value(self) -> Any:
        kind, token = self.tokens.pop(0)
        if kind == "number":
            return float(token)
        if kind == "string":
            return token.replace("''", "'")
        if (kind, token) == ("mark", "("):
            inner = self.either()
            self.expect(")")
            return self.properties(inner)
        if kind != "name":
            raise ExpressionError(f"Unexpected symbol: '{token}' in '{self.text.strip()}'")
        if token in _WORDS:
            return _WORDS[token]
        if self.accept("("):
            return self.properties(self.call(token))
        if token not in self.context:
            raise ExpressionError(f"Unrecognized named-value: '{token}'")
        return self.properties(self.context[token])

    def call(self, name: str) -> Any:
        function = self.context.get(f"{name.lower()}()") or _FUNCTIONS.get(name.lower())
        if function is None:
            raise ExpressionError(f"Unrecognized function: '{name}'")
        arguments = []
        while not self.accept(")"):
            arguments.append(self.either())
            if self.tokens[0] != ("mark", ")"):
                self.expect(",")
        try:
            return function(*arguments)
        except (TypeError, ValueError, IndexError) as error:
            raise ExpressionError(f"{name}: {error}") from None

    def properties(self, value: Any) -> Any:
        while mark := self.accept(".", "["):
            if mark == ".":
                kind, key = self.tokens.pop(0)
                if kind != "name":
                    raise ExpressionError(f"Unexpected symbol: '{key}' in '{self.text.strip()}'")
            else:
                key = to_text(self.either())
                self.expect("]")
            value = _property(value, key)
        return value


def _property(value: Any, key: str) -> Any:
    if isinstance(value, list) and key.isdigit():
        return value[int(key)] if int(key) < len(value) else None
    if not isinstance(value, Mapping):
        return None
    lowered = {str(name).lower(): item for name, item in value.items()}
    return value.get(key, lowered.get(key.lower()))


def evaluate(expression: str, context: Context) -> Any:
    """The value of one expression (with or without ``${{ }}``). Raises ExpressionError."""
    whole = _PLACE.fullmatch(expression.strip())
    return _Reader(whole[1] if whole else expression, context).whole()


def condition(expression: Any, context: Context) -> bool:
    """Whether an ``if:`` holds; without a status function it also asks for ``success()``."""
    text = to_text(expression).strip()
    if not text:
        return bool(evaluate("success()", context))
    if not _STATUS.search(text):
        return bool(evaluate("success()", context)) and bool(evaluate(text, context))
    return bool(evaluate(text, context))


def fill(value: Any, context: Context) -> Any:
    """``value`` with every ``${{ }}`` in its strings replaced, through lists and mappings."""
    if isinstance(value, str):
        return _PLACE.sub(lambda m: to_text(evaluate(m[1], context)), value)
    if isinstance(value, dict):
        return {key: fill(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, context) for item in value]
    return value
