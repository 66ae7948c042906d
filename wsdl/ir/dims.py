"""Dimensions: sums of products of names, in one normal form, compared with three answers.

A dimension is a polynomial with integer coefficients over *atoms*: names of dynamic dimensions (`n`, `t`), and
quotients and remainders that can't be simplified (`t // 2`). Every name is a size of at least 0. `==` on dimensions is
not defined: `compare` returns `equal`, `different` or `unknown`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Literal, NoReturn, TypeAlias

from wsdl.diagnostics import CompileError, Diagnostic, limits

Answer = Literal["equal", "different", "unknown"]
Monomial: TypeAlias = "tuple[Atom, ...]"
Terms: TypeAlias = "tuple[tuple[Monomial, int], ...]"  # the normal form: monomials and their coefficients


class TooLong(CompileError):
    """A dimension whose normal form exceeds a limit; callers that know the span report it there."""

    def __init__(self) -> None:
        message = f"a size with more than {limits.FACTORS:,} terms and factors in its normal form"
        help = "let an input have an axis of that size, or give dynamic dimensions a value with `--dim`"
        super().__init__([Diagnostic("E0602", message, help=help)])


@dataclass(frozen=True)
class Atom:
    """A name, or an operation (`//`, `%`) whose arguments are normal forms in text order."""

    text: str
    operator: str = ""
    arguments: tuple[Dim, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __lt__(self, other: Atom) -> bool:
        return self.text < other.text


class Dim:
    """One dimension; immutable. `Dim.of(3)`, `Dim.symbol("n")`, and `+ - * // %` over them."""

    __slots__ = ("terms",)
    terms: Terms

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        kept = [(m, c) for m, c in terms.items() if c]
        factors = len(kept)
        for monomial, coefficient in kept:
            factors += len(monomial)
            if abs(coefficient) > limits.COEFFICIENT:
                raise TooLong
        if factors > limits.FACTORS:
            raise TooLong
        if len(kept) > 1:
            kept.sort(key=lambda term: (-len(term[0]), [a.text for a in term[0]]))
        self.terms = tuple(kept)

    @staticmethod
    def of(value: int | Dim) -> Dim:
        return value if isinstance(value, Dim) else _number(value)

    @staticmethod
    def symbol(name: str) -> Dim:
        return Dim({(Atom(name),): 1})

    # -- properties ----------------------------------------------------------------------------------------------------

    @property
    def remainder(self) -> tuple[Dim, Dim] | None:
        """Both arguments if it is exactly `a % b`, otherwise `None`."""
        if len(self.terms) != 1:
            return None
        monomial, coefficient = self.terms[0]
        if coefficient != 1 or len(monomial) != 1 or monomial[0].operator != "%":
            return None
        whole, divisor = monomial[0].arguments
        return whole, divisor

    @property
    def constant(self) -> int | None:
        """Its value, or `None` if it depends on a dynamic dimension."""
        if not self.terms:
            return 0
        return self.terms[0][1] if self.terms[0][0] == () else None

    @property
    def name(self) -> str | None:
        """The name if it is just a name, otherwise `None`."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            atom = self.terms[0][0][0]
            return None if atom.operator else atom.text
        return None

    def names(self) -> set[str]:
        """The dynamic dimensions that it depends on."""
        names: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                names |= set().union(*(a.names() for a in atom.arguments)) if atom.operator else {atom.text}
        return names

    # -- arithmetic ----------------------------------------------------------------------------------------------------

    def __add__(self, other: Dim | int) -> Dim:
        terms = dict(self.terms)
        for monomial, coefficient in Dim.of(other).terms:
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Dim(terms)

    def __neg__(self) -> Dim:
        return Dim({m: -c for m, c in self.terms})

    def __sub__(self, other: Dim | int) -> Dim:
        return self + -Dim.of(other)

    def __mul__(self, other: Dim | int) -> Dim:
        longest = len(self.terms) * len(Dim.of(other).terms)
        if longest > 100 * limits.FACTORS:
            raise TooLong
        terms: dict[Monomial, int] = {}
        for m1, c1 in self.terms:
            for m2, c2 in Dim.of(other).terms:
                monomial = tuple(sorted(m1 + m2))
                terms[monomial] = terms.get(monomial, 0) + c1 * c2
        return Dim(terms)

    def __radd__(self, other: int) -> Dim:
        return self + other

    def __rsub__(self, other: int) -> Dim:
        return Dim.of(other) - self

    def __rmul__(self, other: int) -> Dim:
        return self * other

    def __floordiv__(self, other: Dim | int) -> Dim:
        """Rounded down; ZeroDivisionError for a divisor that is the number 0."""
        return self._divided(Dim.of(other))[0]

    def __mod__(self, other: Dim | int) -> Dim:
        return self._divided(Dim.of(other))[1]

    def __rfloordiv__(self, other: int) -> Dim:
        return Dim.of(other) // self

    def __rmod__(self, other: int) -> Dim:
        return Dim.of(other) % self

    def _divided(self, divisor: Dim) -> tuple[Dim, Dim]:
        if divisor.constant == 0:
            raise ZeroDivisionError("a dimension divided by zero")
        if len(divisor.terms) > 1 and (factor := self._factor_of(divisor)) is not None:
            return factor, Dim({})
        whole, rest = Dim({}), Dim({})
        for monomial, coefficient in self.terms:  # the terms that the divisor goes into come out, the others stay
            quotient = _exact_quotient(monomial, coefficient, divisor)
            if quotient is not None:
                whole += quotient
            elif not monomial and divisor.constant is not None:  # of a number as much as it goes into
                whole += coefficient // divisor.constant
                rest += coefficient % divisor.constant
            else:
                rest += Dim({monomial: coefficient})
        if rest.constant is not None and (rest.constant == 0 or divisor.constant is not None):
            return whole, rest
        if len(str(rest)) + len(str(divisor)) > limits.SIZE_TEXT:
            raise TooLong
        remainder_atom = Atom(f"{_grouped(rest)} % {_grouped(divisor)}", "%", (rest, divisor))
        nested = rest._nested_quotient(divisor)
        if nested is not None:
            return whole + nested, Dim({(remainder_atom,): 1})
        quotient_atom = Atom(f"{_grouped(rest)} // {_grouped(divisor)}", "//", (rest, divisor))
        return whole + Dim({(quotient_atom,): 1}), Dim({(remainder_atom,): 1})

    def _nested_quotient(self, divisor: Dim) -> Dim | None:
        """The quotient as one division if it is `(a // m + k) // n` for numbers above 0: `(a + k * m) // (m * n)`."""
        outer, terms = divisor.constant, dict(self.terms)
        constant = terms.pop((), 0)
        monomial, coefficient = next(iter(terms.items()), ((), 0))
        if len(terms) != 1 or coefficient != 1 or len(monomial) != 1 or monomial[0].operator != "//":
            return None
        whole, divisor = monomial[0].arguments
        inner = divisor.constant
        if inner is None or outer is None or inner < 0 or outer < 0:
            return None
        return (whole + constant * inner) // (inner * outer)

    def _factor_of(self, divisor: Dim) -> Dim | None:
        """The one term by which a sum has to be multiplied to be this: `t` for `t * p + t` and `p + 1`."""
        if len(self.terms) != len(divisor.terms):
            return None
        term = Dim(dict(divisor.terms[:1]))
        factors = (_exact_quotient(monomial, coefficient, term) for monomial, coefficient in self.terms)
        return next((f for f in factors if f is not None and (f * divisor).terms == self.terms), None)

    def substitute(self, values: Mapping[str, Dim]) -> Dim:
        """With some names replaced."""
        return self.fold(lambda name: values.get(name, Dim.symbol(name)))

    def fold(self, of_name: Callable[[str], Dim]) -> Dim:
        """The dimension with each name replaced by the result of `of_name`."""
        total = Dim({})
        for monomial, coefficient in self.terms:
            product = Dim.of(coefficient)
            for atom in monomial:
                if atom.operator:
                    a, b = (argument.fold(of_name) for argument in atom.arguments)
                    product *= a // b if atom.operator == "//" else a % b
                else:
                    product *= of_name(atom.text)
            total += product
        return total

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """Its value for these dynamic dimensions. Raises `KeyError` for a missing name."""
        value = self.fold(lambda name: Dim.of(sizes[name])).constant
        assert value is not None
        return value

    def known(self, sizes: Mapping[str, int]) -> int | Dim:
        """Its value, or itself if it depends on a size that isn't among these."""
        return self.evaluate(sizes) if self.names() <= sizes.keys() else self

    # -- text ----------------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        if len(self.terms) == 1 and not self.terms[0][0]:
            return str(self.terms[0][1])  # most are numbers
        text = ""
        for monomial, coefficient in self.terms:
            size = abs(coefficient)
            is_alone = len(monomial) == 1 and (coefficient == 1 or (text and coefficient == -1))
            factors = [a.text if is_alone or not a.operator else f"({a.text})" for a in monomial]
            body = " * ".join(([str(size)] if size != 1 or not factors else []) + factors)
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} {body}" if text else ("-" if coefficient < 0 else "") + body
        return text or "0"

    def __repr__(self) -> str:
        return f"Dim({self})"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("`==` is not defined for dimensions; use `compare`, which has three answers")

    __hash__ = None  # type: ignore[assignment]  # no `==`, so no hash


def _exact_quotient(monomial: Monomial, coefficient: int, divisor: Dim) -> Dim | None:
    if len(divisor.terms) != 1:
        return None
    factors, number = divisor.terms[0]
    left = list(monomial)
    for atom in factors:
        if atom not in left:
            return None
        left.remove(atom)
    return Dim({tuple(left): coefficient // number}) if coefficient % number == 0 else None


def _grouped(dim: Dim) -> str:
    return str(dim) if dim.constant is not None or dim.name else f"({dim})"


@lru_cache(maxsize=4096)
def _number(value: int) -> Dim:
    return Dim({(): value})


def compare(a: Dim | int, b: Dim | int) -> Answer:
    """Whether two dimensions are equal for all values of the dynamic dimensions, for none, or unknown."""
    a, b = Dim.of(a), Dim.of(b)
    if a is b or a.terms == b.terms:
        return "equal"
    if a.constant is not None and b.constant is not None:
        return "different"
    return _compared(a.terms, b.terms)


def same(a: Dim | int, b: Dim | int) -> bool:
    """Certainly equal."""
    return compare(a, b) == "equal"


@lru_cache(maxsize=4096)
def _compared(a: Terms, b: Terms) -> Answer:
    """`compare` for two normal forms that aren't equal."""
    difference = Dim(dict(a)) - Dim(dict(b))
    constant = sum(c for m, c in difference.terms if m == ())
    variable = [c for m, c in difference.terms if m != ()]
    if constant and (all(c > 0 for c in variable) if constant > 0 else all(c < 0 for c in variable)):
        return "different"  # every name is at least 0, so the difference can't vanish
    return "unknown"


def part_of(whole: Dim, number: int) -> Dim:
    """The size of a part of an axis that only the run knows: `n.1`, `(n * t).2`."""
    return Dim.symbol(f"{whole.name or f'({whole})'}.{number}")


def is_part(name: str) -> bool:
    """Whether a name is that of a part; others contain no dot."""
    return "." in name


def origins(dim: Dim) -> set[str]:
    """The names that a dimension depends on, and those of which one of them is a part."""
    names = dim.names()
    return names.union(*(re.findall(r"[^\W\d]\w*", name) for name in names if is_part(name)))


def product(dims: Iterable[Dim]) -> Dim:
    """The number of elements of a shape."""
    number, sizes = 1, list[Dim]()
    for dim in dims:
        constant = dim.constant
        if constant is None:
            sizes.append(dim)
        else:
            number *= constant
    return reduce(lambda a, b: a * b, sizes, Dim.of(number))
