"""The VerticalPodAutoscaler API v1 as a JSON schema, written from its documentation.

Source: https://github.com/kubernetes/autoscaler, vertical-pod-autoscaler/docs/api.md
"""

from __future__ import annotations

from typing import Any


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
_QUANTITY = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$"}
_AMOUNTS = {"type": "object", "properties": {"cpu": _QUANTITY, "memory": _QUANTITY}, "additionalProperties": False}

_POLICY = _object(
    {
        "containerName": {"anyOf": [_NAME, {"const": "*"}]},
        "mode": {"enum": ["Auto", "Off"]},
        "controlledResources": {"type": "array", "items": {"enum": ["cpu", "memory"]}, "minItems": 1},
        "controlledValues": {"enum": ["RequestsAndLimits", "RequestsOnly"]},
        "minAllowed": _AMOUNTS,
        "maxAllowed": _AMOUNTS,
    },
    "containerName",
)

VPA_V1 = _object(
    {
        "apiVersion": {"const": "autoscaling.k8s.io/v1"},
        "kind": {"const": "VerticalPodAutoscaler"},
        "metadata": _object({"name": _NAME, "namespace": _NAME}, "name"),
        "spec": _object(
            {
                "targetRef": _object(
                    {
                        "apiVersion": {"enum": ["apps/v1", "batch/v1", "argoproj.io/v1alpha1"]},
                        "kind": {"enum": ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout"]},
                        "name": _NAME,
                    },
                    "kind",
                    "name",
                ),
                # Auto is deprecated, so MOrA never writes it.
                "updatePolicy": _object(
                    {"updateMode": {"enum": ["Off", "Initial", "Recreate", "InPlaceOrRecreate", "InPlace"]}}
                ),
                "resourcePolicy": _object({"containerPolicies": {"type": "array", "items": _POLICY}}),
            },
            "targetRef",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)

# KEDA's ScaledObject, from https://keda.sh/docs/2.22/reference/scaledobject-spec/ and the pages of its triggers.
# Values of a trigger's metadata are strings, whatever they mean.
_SECONDS = {"type": "integer", "minimum": 0, "maximum": 3600}
_TEXT = {"type": "string", "minLength": 1}
_CRON = {"type": "string", "pattern": "^[0-5]?[0-9] ([01]?[0-9]|2[0-3]) \\* \\* (\\*|[0-6](-[0-6])?(,[0-6])*)$"}
_TRIGGERS = {
    "cpu": _object({"value": _QUANTITY, "containerName": _NAME}, "value"),
    "prometheus": _object(
        {
            "serverAddress": _TEXT,
            "query": _TEXT,
            "threshold": {"type": "string", "pattern": "^[0-9.e-]+$"},
            "ignoreNullValues": {"enum": ["true", "false"]},
        },
        *("serverAddress", "query", "threshold"),
    ),
    "cron": _object(
        {"timezone": _TEXT, "start": _CRON, "end": _CRON, "desiredReplicas": {"type": "string", "pattern": "^[0-9]+$"}},
        *("timezone", "start", "end", "desiredReplicas"),
    ),
}

SCALED_OBJECT_V1ALPHA1 = _object(
    {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": _object(
            {
                "name": _NAME,
                "namespace": _NAME,
                "annotations": _object({"scaledobject.keda.sh/transfer-hpa-ownership": {"const": "true"}}),
            },
            "name",
        ),
        "spec": _object(
            {
                "scaleTargetRef": _object({"apiVersion": _TEXT, "kind": _TEXT, "name": _NAME}, "name"),
                "pollingInterval": {"type": "integer", "minimum": 1},
                "minReplicaCount": {"type": "integer", "minimum": 0},
                "maxReplicaCount": {"type": "integer", "minimum": 1},
                "fallback": _object(
                    {"failureThreshold": {"type": "integer", "minimum": 1}, "replicas": {"type": "integer"}},
                    *("failureThreshold", "replicas"),
                ),
                "advanced": _object(
                    {
                        "horizontalPodAutoscalerConfig": _object(
                            {
                                "name": _NAME,
                                "behavior": _object({"scaleDown": _object({"stabilizationWindowSeconds": _SECONDS})}),
                            }
                        )
                    }
                ),
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "oneOf": [
                            _object(
                                {
                                    "type": {"const": kind},
                                    "metricType": {"const": "AverageValue"},
                                    "metadata": metadata,
                                },
                                *("type", "metadata"),
                            )
                            for kind, metadata in _TRIGGERS.items()
                        ]
                    },
                },
            },
            *("scaleTargetRef", "triggers"),
        ),
    },
    *("apiVersion", "kind", "metadata", "spec"),
)
