set -e

# Deployment shop/frontend, container server: MOrA's advice at 40 users of checkout, from data up to
#   2026-11-21T02:00:00Z
# rehearse: the server checks it and changes nothing
kubectl patch deployment frontend -n shop --type strategic --dry-run=server -p '{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"254m","memory":"228Mi"},"limits":{"cpu":null,"memory":"228Mi"}}}]}}}}'
# apply
kubectl patch deployment frontend -n shop --type strategic -p '{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"254m","memory":"228Mi"},"limits":{"cpu":null,"memory":"228Mi"}}}]}}}}'
# roll back to what was set before
# kubectl patch deployment frontend -n shop --type strategic -p '{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"500m","memory":"64Mi"},"limits":{"cpu":"1","memory":"128Mi"}}}]}}}}'

# Deployment shop/cartservice, container server: MOrA's advice at 40 users of checkout, from data up to
#   2026-11-21T02:00:00Z
# no advice on cpu request: the HPA cartservice scales on 70% utilisation of the CPU request, so another
#   request would move its replicas; 100m would do: let the HPA scale on averageValue first (mora recommend -o
#   hpa), or change both at once: set its target from 70% of 200m to 140% of 100m, the same use per pod
# no advice on cpu limit: left as it is, together with its request
# no advice on replicas: left to the autoscaler cartservice (2 to 6 replicas)
# rehearse: the server checks it and changes nothing
kubectl patch deployment cartservice -n shop --type strategic --dry-run=server -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"memory":"359Mi"},"limits":{"memory":"359Mi"}}}]}}}}'
# apply
kubectl patch deployment cartservice -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"memory":"359Mi"},"limits":{"memory":"359Mi"}}}]}}}}'
# roll back to what was set before
# kubectl patch deployment cartservice -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"memory":"512Mi"},"limits":{"memory":"512Mi"}}}]}}}}'

# StatefulSet bank/paymentservice, container payment: MOrA's advice, from data up to 2026-11-21T02:00:00Z
# no advice on memory request: memory: 12 samples, 60 are needed
# no advice on replicas: memory: 12 samples, 60 are needed
# rehearse: the server checks it and changes nothing
kubectl patch statefulset paymentservice -n bank --type strategic --dry-run=server -p '{"spec":{"template":{"spec":{"containers":[{"name":"payment","resources":{"requests":{"cpu":"10m"}}}]}}}}'
# apply
kubectl patch statefulset paymentservice -n bank --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"payment","resources":{"requests":{"cpu":"10m"}}}]}}}}'
# roll back to what was set before
# kubectl patch statefulset paymentservice -n bank --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"payment","resources":{"requests":{"cpu":null}}}]}}}}'

# Deployment shop/adservice, container server: MOrA's advice, from data up to 2026-11-21T02:00:00Z
# no advice on cpu request: 12 samples, 60 are needed
# no advice on memory request: 12 samples, 60 are needed
# no advice on replicas: 12 samples, 60 are needed
