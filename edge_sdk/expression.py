"""``when``: which predictions a sink wants, as a small expression over their fields.

``event == 'start' and label in ('fall', 'trip') and score > 0.8``

Comparisons, ``and``, ``or``, ``not``, ``in`` and literals; nothing is evaluated as Python. A field that a
prediction does not have (None) is never more or less than anything.
"""

from __future__ import annotations

import ast
import dataclasses
import operator
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from edge_sdk.errors import ConfigError, suggestion
from edge_sdk.prediction import Prediction

Evaluate = Callable[[Any], Any]

#: The fields that an expression may name.
FIELDS: Final = tuple(f.name for f in dataclasses.fields(Prediction) if f.name != "outputs")

_EQUAL: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
}
_ORDER: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_LIMIT: Final = 2000


class Expression:
    """A compiled ``when``.

    >>> wanted = Expression("score > 0.8")
    >>> wanted(Prediction("walk", 0.9, None, outputs=None))
    True

    Args:
        text: the expression.
        fields: names that may stand in it; each is an attribute of what it is called with.

    Raises:
        ConfigError: a syntax error, an unknown field or something that is not allowed, with its position.
    """

    def __init__(self, text: str, fields: tuple[str, ...] = FIELDS) -> None:
        self.text, self._fields = text, fields
        #: Literals that each field is compared with, so that a misspelt label can be found before a run.
        self.compared: dict[str, set[Any]] = defaultdict(set)
        if len(text) > _LIMIT:
            raise ConfigError("when is too long", expected=f"at most {_LIMIT} characters", found=len(text))
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            where = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise ConfigError(
                f"when = {text!r}: syntax error{where}",
                expected="a comparison such as event == 'start' and score > 0.8",
            ) from error
        self._evaluate = self._compile(tree.body)

    def __call__(self, prediction: Any) -> bool:
        """Whether it holds for a prediction, or for whatever else has the fields."""
        return bool(self._evaluate(prediction))

    def __str__(self) -> str:
        return self.text

    def check_values(self, field: str, known: tuple[str, ...]) -> None:
        """See that a field is compared only with values it can have.

        Raises:
            ConfigError: a value that the field never has.
        """
        for value in sorted(self.compared.get(field, ()), key=str):
            if value is not None and value not in known:
                raise ConfigError(
                    f"when = {self.text!r}: {field} is never {value!r}",
                    expected="one of " + ", ".join(map(repr, known)) if known else f"a model with {field}s",
                    remedy=suggestion(str(value), known),
                )

    def _compile(self, node: ast.expr) -> Evaluate:
        if isinstance(node, ast.BoolOp):
            parts = [self._compile(value) for value in node.values]
            if isinstance(node.op, ast.And):
                return lambda prediction: all(part(prediction) for part in parts)
            return lambda prediction: any(part(prediction) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._compile(node.operand)
            return lambda prediction: not inner(prediction)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        if isinstance(node, ast.Name):
            return self._field(node)
        constant = self._literal(node)
        return lambda prediction: constant

    def _comparison(self, node: ast.Compare) -> Evaluate:
        operands = [node.left, *node.comparators]
        values = [self._compile(operand) for operand in operands]
        tests = [self._operator(node, op) for op in node.ops]
        self._remember(operands)
        if len(tests) == 1:
            left, right, test = values[0], values[1], tests[0]
            return lambda prediction: test(left(prediction), right(prediction))

        def chained(prediction: Prediction) -> bool:
            found = [value(prediction) for value in values]
            return all(test(a, b) for test, a, b in zip(tests, found, found[1:], strict=False))

        return chained

    def _operator(self, node: ast.Compare, op: ast.cmpop) -> Callable[[Any, Any], bool]:
        if type(op) in _EQUAL:
            return _EQUAL[type(op)]
        if type(op) in _ORDER:
            order = _ORDER[type(op)]
            return lambda a, b: _comparable(a, b) and order(a, b)
        if not isinstance(node.comparators[-1], (ast.Tuple, ast.List, ast.Set)) or len(node.ops) != 1:
            raise self._refuse(node, "'in' wants a list of values, such as label in ('fall', 'trip')")
        if isinstance(op, ast.In):
            return lambda a, b: a in b
        return lambda a, b: a not in b

    def _field(self, node: ast.Name) -> Evaluate:
        if node.id not in self._fields:
            hints = (suggestion(node.id, self._fields), f"a text stands in quotes: '{node.id}'")
            raise ConfigError(
                f"when = {self.text!r}: unknown field {node.id!r} at column {node.col_offset + 1}",
                expected="one of " + ", ".join(self._fields),
                remedy=" ".join(filter(None, hints)),
            )
        return operator.attrgetter(node.id)

    def _literal(self, node: ast.expr) -> Any:
        """The value of a constant, a signed number or a list of them."""
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, type(None))):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = self._literal(node.operand)
            if isinstance(number, (int, float)):
                return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return tuple(self._literal(item) for item in node.elts)
        raise self._refuse(node, f"{ast.unparse(node)} is not allowed")

    def _refuse(self, node: ast.expr, why: str) -> ConfigError:
        return ConfigError(
            f"when = {self.text!r}: {why} (column {node.col_offset + 1})",
            expected="fields, literals, comparisons, and, or, not, in",
        )

    def _remember(self, operands: list[ast.expr]) -> None:
        fields = [operand.id for operand in operands if isinstance(operand, ast.Name)]
        for operand in operands:
            if not isinstance(operand, (ast.Name, ast.Compare, ast.BoolOp)):
                value = self._literal(operand)
                for field in fields:
                    self.compared[field].update(value if isinstance(value, tuple) else {value})


def _comparable(a: Any, b: Any) -> bool:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return True
    return isinstance(a, str) and isinstance(b, str)
