set -eu
# Needs kubectl 1.32 or later and Kubernetes 1.33 or later (the feature is stable from 1.35).
# A pod whose node has no room keeps its numbers and waits: kubectl get pod NAME -o yaml, condition PodResizePending.

# owned KIND NAMESPACE OWNER_KIND OWNER_NAMES: names of the owners' objects, without finished ones
owned() {
  list=$(kubectl get "$1" -n "$2" -o go-template='{{range .items}}{{$m := .metadata}}{{$phase := .status.phase}}
{{- range $m.ownerReferences}}{{.kind}}/{{.name}} {{$m.name}} {{$phase}}{{"\n"}}{{end}}{{end}}') || return 1
  printf '%s\n' "$list" | awk -v kind="$3" -v names="$(printf '%s' "$4" | tr '\n' ' ')" '
    BEGIN { count = split(names, one, " "); for (n = 1; n <= count; n++) owners[kind "/" one[n]] = 1 }
    $1 in owners && $3 != "Succeeded" && $3 != "Failed" { print $2 }'
}

# pods_of NAMESPACE KIND NAME: the pods of a workload, by their chain of owners
pods_of() {
  case "$2" in
    Deployment | Rollout) sets=$(owned replicasets "$1" "$2" "$3") && owned pods "$1" ReplicaSet "$sets" ;;
    CronJob) jobs=$(owned jobs "$1" "$2" "$3") && owned pods "$1" Job "$jobs" ;;
    *) owned pods "$1" "$2" "$3" ;;
  esac
}

# resize NAMESPACE KIND NAME PATCH [FLAG]: patches each pod in turn; the first refusal ends the script
resize() {
  pods=$(pods_of "$1" "$2" "$3") || exit 1
  [ -n "$pods" ] || echo "$2 $1/$3 has no running pods" >&2
  for pod in $pods; do
    kubectl patch pod "$pod" -n "$1" --subresource resize --type strategic ${5:-} -p "$4"
  done
}

# Deployment shop/web, containers web, cache, logs, migrate, istio-proxy: recommended by MOrA, from data until
#   2026-11-21 02:00 UTC (from history, without a trained model)
# no recommendation for replicas: no load experiments, so replicas stay unchanged
# container istio-proxy is injected at admission, so this template cannot size it; set its resources where it
#   is injected
# container web keeps a CPU limit until the next rollout: a resize cannot remove one
# container web: a lower memory limit is refused by Kubernetes 1.33 and 1.34 unless its resizePolicy restarts
#   the container; from 1.35 on it is tried, and waits while the container uses more
# container cache keeps a CPU limit until the next rollout: a resize cannot remove one
# container cache: a lower memory limit is refused by Kubernetes 1.33 and 1.34 unless its resizePolicy
#   restarts the container; from 1.35 on it is tried, and waits while the container uses more
# container logs gets its memory limit with the next rollout: another resize could not remove it
# container migrate is an init container: it has finished and cannot be resized
# for the next release: the same in the template (this starts a rollout)
# kubectl patch deployment web -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"240m","memory":"400Mi"},"limits":{"cpu":null,"memory":"400Mi"}}},{"name":"cache","resources":{"requests":{"cpu":"60m","memory":"160Mi"},"limits":{"cpu":null,"memory":"160Mi"}}}],"initContainers":[{"name":"logs","resources":{"requests":{"cpu":"20m","memory":"48Mi"},"limits":{"memory":"48Mi"}}},{"name":"migrate","resources":{"requests":{"cpu":"200m","memory":"96Mi"},"limits":{"memory":"96Mi"}}}]}}}}'

# 1. Dry run: the server checks the resize of every pod and changes nothing
resize shop Deployment web '{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"240m","memory":"400Mi"},"limits":{"cpu":"800m","memory":"400Mi"}}},{"name":"cache","resources":{"requests":{"cpu":"60m","memory":"160Mi"},"limits":{"cpu":"200m","memory":"160Mi"}}}],"initContainers":[{"name":"logs","resources":{"requests":{"cpu":"20m","memory":"48Mi"}}}]}}' --dry-run=server

# 2. Resize
resize shop Deployment web '{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"240m","memory":"400Mi"},"limits":{"cpu":"800m","memory":"400Mi"}}},{"name":"cache","resources":{"requests":{"cpu":"60m","memory":"160Mi"},"limits":{"cpu":"200m","memory":"160Mi"}}}],"initContainers":[{"name":"logs","resources":{"requests":{"cpu":"20m","memory":"48Mi"}}}]}}'

# 3. Roll back to the previous values
# resize shop Deployment web '{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"400m","memory":"512Mi"},"limits":{"cpu":"800m","memory":"512Mi"}}},{"name":"cache","resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"cpu":"200m","memory":"256Mi"}}}],"initContainers":[{"name":"logs","resources":{"requests":{"cpu":"50m","memory":"64Mi"}}}]}}'
