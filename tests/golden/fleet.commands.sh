set -e

# Deployment shop/frontend, container server: recommended by MOrA for 40 users of checkout, from data until
#   2026-11-21 02:00 UTC

# Deployment shop/cartservice, container server: recommended by MOrA for 40 users of checkout, from data until
#   2026-11-21 02:00 UTC
# no recommendation for cpu request: the HPA cartservice scales on 70% CPU utilisation (100m with
#   --retarget-hpa)
# no recommendation for cpu limit: unchanged, as its request is
# no recommendation for replicas: set by the autoscaler cartservice (2 to 6 replicas)
# the first of several steps: memory request 359Mi, goal 230Mi; memory limit 359Mi, goal 230Mi. Run MOrA again
#   after a day for the next

# StatefulSet bank/paymentservice, container payment: recommended by MOrA, from data until 2026-11-21 02:00
#   UTC
# no recommendation for memory request, replicas: memory: 12 samples, 60 are needed

# Deployment shop/adservice, container server: recommended by MOrA, from data until 2026-11-21 02:00 UTC
# no recommendation for cpu request, memory request, replicas: 12 samples, 60 are needed

# Deployment shop/web, containers web, cache, logs, migrate, istio-proxy: recommended by MOrA, from data until
#   2026-11-21 02:00 UTC (from history, without a trained model)
# no recommendation for replicas: no load experiments, so replicas stay unchanged
# container istio-proxy is injected at admission, so this template cannot size it; set its resources where it
#   is injected

# CronJob shop/nightly, container report: recommended by MOrA, from data until 2026-11-21 02:00 UTC (from
#   history, without a trained model)
# no recommendation for replicas: no load experiments, so replicas stay unchanged

# Job shop/migration, container run: recommended by MOrA, from data until 2026-11-21 02:00 UTC (from history,
#   without a trained model)
# no recommendation for replicas: no load experiments, so replicas stay unchanged
# the template of a Job cannot be changed; delete the Job and create it again with the resources of -o yaml

# Rollout shop/canary, containers server, agent: recommended by MOrA, from data until 2026-11-21 02:00 UTC
#   (from history, without a trained model)
# no recommendation for replicas: no load experiments, so replicas stay unchanged
# a JSON patch, since an API server cannot merge lists of a custom resource: the server refuses it if the
#   order of the containers changed, or if the template has `resources: {}`

# Deployment shop/search, container server: recommended by MOrA, from data until 2026-11-21 02:00 UTC (from
#   history, without a trained model)
# no recommendation for replicas: no load experiments, so replicas stay unchanged

# 1. Dry run: the server checks each patch and changes nothing
# Deployment shop/frontend
kubectl patch deployment frontend -n shop --type strategic --dry-run=server -p '{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"254m","memory":"228Mi"},"limits":{"cpu":null,"memory":"228Mi"}}}]}}}}'
# Deployment shop/cartservice
kubectl patch deployment cartservice -n shop --type strategic --dry-run=server -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"memory":"359Mi"},"limits":{"memory":"359Mi"}}}]}}}}'
# StatefulSet bank/paymentservice
kubectl patch statefulset paymentservice -n bank --type strategic --dry-run=server -p '{"spec":{"template":{"spec":{"containers":[{"name":"payment","resources":{"requests":{"cpu":"10m"}}}]}}}}'
# Deployment shop/web
kubectl patch deployment web -n shop --type strategic --dry-run=server -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"240m","memory":"400Mi"},"limits":{"cpu":null,"memory":"400Mi"}}},{"name":"cache","resources":{"requests":{"cpu":"60m","memory":"160Mi"},"limits":{"cpu":null,"memory":"160Mi"}}}],"initContainers":[{"name":"logs","resources":{"requests":{"cpu":"20m","memory":"48Mi"},"limits":{"memory":"48Mi"}}},{"name":"migrate","resources":{"requests":{"cpu":"200m","memory":"96Mi"},"limits":{"memory":"96Mi"}}}]}}}}'
# CronJob shop/nightly
kubectl patch cronjob nightly -n shop --type strategic --dry-run=server -p '{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"report","resources":{"requests":{"cpu":"600m","memory":"900Mi"},"limits":{"memory":"900Mi"}}}]}}}}}}'
# Rollout shop/canary
kubectl patch rollouts.argoproj.io canary -n shop --type json --dry-run=server -p '[{"op":"test","path":"/spec/template/spec/containers/1/name","value":"server"},{"op":"add","path":"/spec/template/spec/containers/1/resources/requests/cpu","value":"300m"},{"op":"add","path":"/spec/template/spec/containers/1/resources/requests/memory","value":"200Mi"},{"op":"remove","path":"/spec/template/spec/containers/1/resources/limits/cpu"},{"op":"add","path":"/spec/template/spec/containers/1/resources/limits/memory","value":"200Mi"},{"op":"test","path":"/spec/template/spec/containers/0/name","value":"agent"},{"op":"test","path":"/spec/template/spec/containers/0/resources","value":null},{"op":"add","path":"/spec/template/spec/containers/0/resources","value":{"requests":{"cpu":"20m","memory":"32Mi"},"limits":{"memory":"32Mi"}}}]'
# Deployment shop/search
kubectl patch deployment search -n shop --type strategic --dry-run=server -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"250m","memory":"420Mi"},"limits":{"memory":"420Mi"}}}]}}}}'
kubectl patch hpa web -n shop --type json --dry-run=server -p '[{"op":"test","path":"/spec/metrics/0/resource/name","value":"cpu"},{"op":"replace","path":"/spec/metrics/0/resource/target/averageUtilization","value":112}]'
kubectl patch hpa web -n shop --type json --dry-run=server -p '[{"op":"test","path":"/spec/metrics/1/resource/name","value":"memory"},{"op":"replace","path":"/spec/metrics/1/resource/target/averageUtilization","value":97}]'

# 2. Apply
# Deployment shop/frontend
kubectl patch deployment frontend -n shop --type strategic -p '{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"254m","memory":"228Mi"},"limits":{"cpu":null,"memory":"228Mi"}}}]}}}}'
# Deployment shop/cartservice
kubectl patch deployment cartservice -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"memory":"359Mi"},"limits":{"memory":"359Mi"}}}]}}}}'
# StatefulSet bank/paymentservice
kubectl patch statefulset paymentservice -n bank --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"payment","resources":{"requests":{"cpu":"10m"}}}]}}}}'
# Deployment shop/web
kubectl patch deployment web -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"240m","memory":"400Mi"},"limits":{"cpu":null,"memory":"400Mi"}}},{"name":"cache","resources":{"requests":{"cpu":"60m","memory":"160Mi"},"limits":{"cpu":null,"memory":"160Mi"}}}],"initContainers":[{"name":"logs","resources":{"requests":{"cpu":"20m","memory":"48Mi"},"limits":{"memory":"48Mi"}}},{"name":"migrate","resources":{"requests":{"cpu":"200m","memory":"96Mi"},"limits":{"memory":"96Mi"}}}]}}}}'
# CronJob shop/nightly
kubectl patch cronjob nightly -n shop --type strategic -p '{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"report","resources":{"requests":{"cpu":"600m","memory":"900Mi"},"limits":{"memory":"900Mi"}}}]}}}}}}'
# Rollout shop/canary
kubectl patch rollouts.argoproj.io canary -n shop --type json -p '[{"op":"test","path":"/spec/template/spec/containers/1/name","value":"server"},{"op":"add","path":"/spec/template/spec/containers/1/resources/requests/cpu","value":"300m"},{"op":"add","path":"/spec/template/spec/containers/1/resources/requests/memory","value":"200Mi"},{"op":"remove","path":"/spec/template/spec/containers/1/resources/limits/cpu"},{"op":"add","path":"/spec/template/spec/containers/1/resources/limits/memory","value":"200Mi"},{"op":"test","path":"/spec/template/spec/containers/0/name","value":"agent"},{"op":"test","path":"/spec/template/spec/containers/0/resources","value":null},{"op":"add","path":"/spec/template/spec/containers/0/resources","value":{"requests":{"cpu":"20m","memory":"32Mi"},"limits":{"memory":"32Mi"}}}]'
# Deployment shop/search
kubectl patch deployment search -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"250m","memory":"420Mi"},"limits":{"memory":"420Mi"}}}]}}}}'
kubectl patch hpa web -n shop --type json -p '[{"op":"test","path":"/spec/metrics/0/resource/name","value":"cpu"},{"op":"replace","path":"/spec/metrics/0/resource/target/averageUtilization","value":112}]'
kubectl patch hpa web -n shop --type json -p '[{"op":"test","path":"/spec/metrics/1/resource/name","value":"memory"},{"op":"replace","path":"/spec/metrics/1/resource/target/averageUtilization","value":97}]'

# 3. Roll back to the previous values
# kubectl patch deployment frontend -n shop --type strategic -p '{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"500m","memory":"64Mi"},"limits":{"cpu":"1","memory":"128Mi"}}}]}}}}'
# kubectl patch deployment cartservice -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"memory":"512Mi"},"limits":{"memory":"512Mi"}}}]}}}}'
# kubectl patch statefulset paymentservice -n bank --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"payment","resources":{"requests":{"cpu":null}}}]}}}}'
# kubectl patch deployment web -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"400m","memory":"512Mi"},"limits":{"cpu":"800m","memory":"512Mi"}}},{"name":"cache","resources":{"requests":{"cpu":"100m","memory":"128Mi"},"limits":{"cpu":"200m","memory":"256Mi"}}}],"initContainers":[{"name":"logs","resources":{"requests":{"cpu":"50m","memory":"64Mi"},"limits":{"memory":null}}},{"name":"migrate","resources":{"requests":{"cpu":null,"memory":null},"limits":{"memory":null}}}]}}}}'
# kubectl patch cronjob nightly -n shop --type strategic -p '{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"report","resources":{"requests":{"cpu":"1","memory":"1Gi"},"limits":{"memory":"1Gi"}}}]}}}}}}'
# kubectl patch rollouts.argoproj.io canary -n shop --type json -p '[{"op":"test","path":"/spec/template/spec/containers/1/name","value":"server"},{"op":"add","path":"/spec/template/spec/containers/1/resources/requests/cpu","value":"500m"},{"op":"remove","path":"/spec/template/spec/containers/1/resources/requests/memory"},{"op":"add","path":"/spec/template/spec/containers/1/resources/limits/cpu","value":"1"},{"op":"remove","path":"/spec/template/spec/containers/1/resources/limits/memory"},{"op":"test","path":"/spec/template/spec/containers/0/name","value":"agent"},{"op":"remove","path":"/spec/template/spec/containers/0/resources"}]'
# kubectl patch deployment search -n shop --type strategic -p '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"400m","memory":"512Mi"},"limits":{"memory":"512Mi"}}}]}}}}'
# kubectl patch hpa web -n shop --type json -p '[{"op":"test","path":"/spec/metrics/0/resource/name","value":"cpu"},{"op":"replace","path":"/spec/metrics/0/resource/target/averageUtilization","value":70}]'
# kubectl patch hpa web -n shop --type json -p '[{"op":"test","path":"/spec/metrics/1/resource/name","value":"memory"},{"op":"replace","path":"/spec/metrics/1/resource/target/averageUtilization","value":80}]'
