"""`mora demo`: the demonstration on the sandbox; `run` drives it, `scaling` fits its load to the machine."""

from mora.demo.run import run_demo

__all__ = ["run_demo"]
