import numpy as np
import onnx.parser

from sod.judging import AT_ONCE, saliency_maps
from sod.pool import HELD_OUT, make_pool
from wrg_onnx.graph import from_proto

BRIGHTNESS = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 3, 32, 32] image) => (float[N, 1, 32, 32] saliency) {
    mean = ReduceMean <axes = [1]> (image)
    saliency = Sigmoid (mean)
}
"""


def test_each_map_comes_with_the_mask_of_its_image():
    pool = make_pool(AT_ONCE + 2, 32, seed=0, stream=HELD_OUT)
    graph = from_proto(onnx.parser.parse_model(BRIGHTNESS), name="brightness")
    found = list(saliency_maps(graph, pool))
    assert len(found) == len(pool)
    expected = pool.feed(pool.images).mean(dim=1).sigmoid().numpy()
    for (saliency, mask), wanted, truth in zip(found, expected, pool.masks, strict=True):
        assert saliency.shape == mask.shape == (32, 32)
        np.testing.assert_allclose(saliency, wanted, atol=1e-6)
        assert np.array_equal(mask, truth[0].numpy())
