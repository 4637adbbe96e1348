"""R: the numerical rank of a channel's feature map, and its mean activation."""
