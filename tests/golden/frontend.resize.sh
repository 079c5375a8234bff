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

# Deployment shop/frontend, container server: recommended by MOrA for 40 users of checkout, from data until
#   2026-11-21 02:00 UTC
# container server keeps a CPU limit until the next rollout: a resize cannot remove one
# for the next release: the same in the template (this starts a rollout)
# kubectl patch deployment frontend -n shop --type strategic -p '{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"254m","memory":"228Mi"},"limits":{"cpu":null,"memory":"228Mi"}}}]}}}}'

# 1. Dry run: the server checks the resize of every pod and changes nothing
resize shop Deployment frontend '{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"254m","memory":"228Mi"},"limits":{"cpu":"1","memory":"228Mi"}}}]}}' --dry-run=server

# 2. Resize
resize shop Deployment frontend '{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"254m","memory":"228Mi"},"limits":{"cpu":"1","memory":"228Mi"}}}]}}'

# 3. Roll back to the previous values
# resize shop Deployment frontend '{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"500m","memory":"64Mi"},"limits":{"cpu":"1","memory":"128Mi"}}}]}}'
