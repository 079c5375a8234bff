"""What forecasts: one module each, all of them `domain.Forecaster`s, registered in registry.py."""
