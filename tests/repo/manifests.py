"""Texts of manifests that tests share."""

from __future__ import annotations


def deployment(
    name: str = "web", *, namespace: str | None = "shop", resources: str = "{}", image: str = "shop/web:1"
) -> str:
    where = f"\n  namespace: {namespace}" if namespace else ""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}{where}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: server
          image: {image}
          resources: {resources}
          # the end
"""
