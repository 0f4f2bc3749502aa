"""How an endpoint is asked: how fast, how often, in how large pieces, at which price.

The endpoint itself is named as its Python package names it, in OPENAI_BASE_URL and
OPENAI_API_KEY. The rest are fields here, each with a variable of its own: NOVICEGYM_API_ and the
field's name in capitals, NOVICEGYM_API_REQUESTS_PER_MINUTE for one.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from novicegym.agents.language_model import CONTEXT
from novicegym.errors import UsageError

_PREFIX = "NOVICEGYM_API_"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The settings of one process. Raises UsageError for values that cannot be."""

    concurrency: int = 16
    """Most requests under way at once."""
    requests_per_minute: float = math.inf
    """Retries count, too."""
    tokens_per_minute: float = math.inf
    """Of prompts and answers: estimated when a request is sent, corrected when it is answered."""
    retries: int = 12
    """Most repetitions of a request that failed, with growing pauses: a minute in all."""
    timeout: float = 600.0
    """Most seconds without a byte from the endpoint."""
    context: int = CONTEXT
    """Tokens of prompt and answer together, the prompt's estimated: the oldest submissions of a
    longer dialog are left out."""
    input_price: float | None = None
    """Of a million prompt tokens, in any currency."""
    output_price: float | None = None
    """Of a million tokens of answers."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Fields put into every request; None takes one out that would be sent."""

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("retries", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("requests_per_minute", "tokens_per_minute", "timeout"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")
        prices = [price for price in (self.input_price, self.output_price) if price is not None]
        if len(prices) == 1:
            raise UsageError("a cost needs both prices, input_price and output_price; got one")
        if not all(0 <= price < math.inf for price in prices):
            raise UsageError(f"prices must be at least 0, got {prices[0]} and {prices[1]}")

    @classmethod
    def from_environment(cls) -> Self:
        """Read the variables; one that is not set, or empty, leaves the default."""
        read = {name: _read(name, kind) for name, kind in _KINDS.items()}
        return cls(**{name: value for name, value in read.items() if value is not None})


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


_KINDS: dict[str, Callable[[str], Any]] = {
    "concurrency": int,
    "requests_per_minute": float,
    "tokens_per_minute": float,
    "retries": int,
    "timeout": float,
    "context": int,
    "input_price": float,
    "output_price": float,
    "body": _object,
}
_WANTED = {int: "a whole number", float: "a number", _object: "a JSON object"}


def _read(name: str, kind: Callable[[str], Any]) -> Any:
    variable = _PREFIX + name.upper()
    text = os.environ.get(variable, "")
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{variable} must be {_WANTED[kind]}, got {text!r}") from None
