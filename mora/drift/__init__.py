"""Whether a service still is what its model was trained on: inputs, residuals, coverage."""
