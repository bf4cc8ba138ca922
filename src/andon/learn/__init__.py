"""From labels to models: data sets, training, calibration, and the models that Andon ships."""
