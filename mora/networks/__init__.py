"""Neural networks: their forward pass in numpy, and the one room that loads TensorFlow and LiteRT."""
