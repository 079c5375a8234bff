"""`python -m mora.sandbox.shop SERVICE ...` runs one replica of a service."""

from __future__ import annotations

import sys
from importlib import import_module

from mora.sandbox.shop.serving import serve

if __name__ == "__main__":
    serve(sys.argv[1], import_module(f"mora.sandbox.shop.{sys.argv[1]}").build, sys.argv[2:])
