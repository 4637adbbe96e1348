"""Random numbers: fewer of them would not be the same ones."""

from __future__ import annotations

from wrg_onnx.channels.answers import Coupling
from wrg_onnx.channels.axes import Call
from wrg_onnx.channels.couplings import freeze_whole
from wrg_onnx.channels.rules.creation import couple_made_from_shape
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

op_rule("RandomNormal", "RandomUniform", since=1)(couple_made_from_shape)


@op_rule("Bernoulli", since=15)
@op_rule("Multinomial", since=7)
@op_rule("RandomNormalLike", "RandomUniformLike", since=1)
def couple_random(call: Call) -> Coupling:
    """Freeze what numbers are drawn for: fewer of them would not be the same ones.

    Shapes:
        X (...) -> Y (...).
    """
    return freeze_whole(call, "draws random numbers for this axis")


op_traits(
    Traits(draws_random=True),
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
)  # fmt: skip
