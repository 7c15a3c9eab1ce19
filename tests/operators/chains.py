"""Chains of operators that are functions of one int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.quantized import Drawn, Trial, scaled, scales

SHAPE = [1, 256]


@dataclass
class Chain:
    """A chain while it grows, with the facts of its scales."""

    trial: Trial
    facts: dict[str, Any]

    def to(self) -> tuple[float, int]:
        """Another scale for each operator."""
        rng = self.trial.rng
        return float(np.float32(self.facts["scale"] * rng.uniform(0.5, 2))), int(rng.integers(-128, 128))

    def op(self, name: str, *inputs: int, to: tuple[float, int] | None = None, **options: Any) -> int:
        return self.trial.op(name, inputs, SHAPE, to or self.to(), **options)

    def real(self, name: str, x: int, **options: Any) -> int:
        """In float32 between two scales of int8."""
        y = self.trial.net.op("DEQUANTIZE", [x], SHAPE)
        y = self.trial.net.op(name, [y], SHAPE, **options)
        return self.op("QUANTIZE", y)

    def number(self, scaled: tuple[float, int] | None = None) -> int:
        value = np.array([self.trial.rng.integers(-128, 128)]).astype(np.int8)
        return self.trial.net.constant(value, scaled or self.to())


def elu(chain, x, of):
    return chain.real("ELU", x)


def negated(chain, x, of):
    return chain.real("NEG", x)


def squared(chain, x, of):
    return chain.real("SQUARE", x)


def swish(chain, x, of):
    return chain.op("MUL", x, chain.op("LOGISTIC", x, to=(1 / 256, -128)))


def softsign(chain, x, of):
    """No divisor is zero, and no shift of the reference is longer than a word."""
    scale = float(np.float32(of[0] * 2))
    one = chain.trial.net.constant(np.array([127], np.int8), (scale, -128))
    below = chain.op("ADD", chain.op("ABS", x, to=(of[0], -128)), one, to=(scale, -128))
    return chain.op("DIV", x, below, to=(1 / 300, chain.to()[1]))


def limited(chain, x, of):
    return chain.op("RELU", chain.op("MINIMUM", x, chain.number(of), to=of, kind="MaximumMinimumOptions"))


def chosen(chain, x, of):
    """As Keras makes SELU and a ReLU with a threshold."""
    limit = chain.trial.net.constant(np.array([chain.trial.rng.integers(-128, 128)]).astype(np.int8), of)
    above = chain.trial.net.op("GREATER", [x, limit], SHAPE, "bool")
    to = chain.to()
    one, other = chain.op("MUL", x, chain.number(), to=to), chain.op("SUB", x, chain.number(), to=to)
    return chain.op("SELECT_V2", above, one, other, to=to, kind="SelectV2Options")


def far(chain, x, of):
    """A difference of two functions; one of them is read elsewhere too."""
    one = chain.op("LEAKY_RELU", x, alpha=0.3)
    chain.trial.output(one)
    return chain.op("SQUARED_DIFFERENCE", chain.op("TANH", one, to=(1 / 128, 0)), one)


def sloping(chain, x, of):
    return chain.op("PRELU", chain.op("HARD_SWISH", x), chain.number(), kind="PreluOptions")


MADE = [elu, negated, squared, swish, softsign, limited, chosen, far, sloping]


def add_chain(trial, facts):
    x = trial.input(SHAPE, facts["input"])
    trial.inputs[-1][:] = np.arange(-128, 128).astype(np.int8)
    trial.output(facts["make"](Chain(trial, facts), x, facts["input"]))


CHAINS = Drawn(
    add_chain,
    st.fixed_dictionaries(
        {
            "make": st.sampled_from(MADE),
            "input": scaled(1e-3, 0.3),
            "scale": scales(5e-3, 0.3),
        }
    ),
    together=16,
)
