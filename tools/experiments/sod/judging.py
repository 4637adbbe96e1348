"""What ONNX Runtime makes of a pool's images, beside their masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from sod.pool import INPUT, Pool
from wrg_onnx.graph import Graph, open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 25
"""Images that are judged at once."""


def saliency_maps(
    graph: Graph, pool: Pool
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Run a graph on each image; yield its first map, in [0, 1], and the mask, both (H, W)."""
    session = open_session(graph)
    for start in range(0, len(pool), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        saliency, *_ = session.run({INPUT: pool.feed(pool.images[part]).numpy()}).values()
        # ONNX Runtime's vectorised sigmoid may pass 1 by a rounding.
        for one, mask in zip(np.clip(saliency, 0, 1), pool.masks[part].numpy(), strict=True):
            yield one[0], mask[0]
