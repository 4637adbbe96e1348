"""Our own factors: their names and versions. ``calibrate`` binds each to what measures it.

They are apart from their functions so that a criterion can name them without onnx. A version is
raised here when the formula there changes.
"""

from __future__ import annotations

from wrg_onnx.factors.factor import Factor, Source

WEIGHT = Factor("weight", version=1, source=Source.WEIGHTS)
"""W: the norm of a filter times what scales its channel."""

L1 = Factor("l1", version=1, source=Source.WEIGHTS)
"""The L1 norm of a filter as it is in the file."""

L2 = Factor("l2", version=1, source=Source.WEIGHTS)
"""The L2 norm of a filter as it is in the file."""

DISTANCE = Factor("distance", version=1, source=Source.WEIGHTS)
"""How far a filter is from the others of its layer."""

BATCH_SCALE = Factor("batch_scale", version=1, source=Source.WEIGHTS)
"""The scale of the batch normalisation that a channel passes."""

RANK = Factor("rank", version=1, source=Source.MAPS, most=1.0)
"""R: the rank of a feature map, over the most that it could be."""

ACTIVATION = Factor("activation", version=1, source=Source.MAPS)
"""The mean absolute activation of a feature map."""

GRADIENT = Factor("gradient", version=1, source=Source.BACKWARD)
"""G: what a channel's removal does to the loss, to first order."""
