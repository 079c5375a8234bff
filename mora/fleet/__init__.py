"""From what a cluster already knows to advice: every container of every workload, from history, without driving load.

    overrides    what a team wants otherwise: mora.dev/ annotations, [namespaces] and [workloads] of mora.toml
    settings     the settings of a run, and what they come to for one workload
    spans        windows that are left out (--exclude)
    evidence     what a container's numbers rest on: window, samples, peaks
    batch        mora/bounds asked for many containers at once
    need         a container's history -> what it needs; use at a limit, start-up, OOM kills and jobs told apart
    stream       histories as they come -> recommendations as they are due, in batches, namespace by namespace
    advise       Standing + WorkloadHistory -> Recommendation
    retarget     an HPA's target that changes together with the requests it measures against
    quota        whether a namespace's ResourceQuota has room for all advice together
    names        "deployment/frontend" -> which of the workloads are meant

All of it pure: histories and standings come in as values, whatever answered them.
"""
