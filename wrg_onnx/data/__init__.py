"""What a model is fed and by whom: data sets, preprocessing, saliency maps, processes."""
