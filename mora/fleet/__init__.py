"""From what a cluster already knows to advice: every container of every workload, from history, without driving load.

    overrides    what a team overrides: mora.dev/ annotations, [namespaces] and [workloads] of mora.toml
    settings     the settings of a run, and what they come to for one workload
    spans        time ranges that are left out (--exclude)
    evidence     what a container's numbers rest on: time range, samples, peaks
    batch        upper bounds of many containers at once
    need         a container's history -> what it needs, with start-up, OOM kills and jobs apart
    stream       histories as they come -> recommendations as they are due, in batches, namespace by namespace
    advise       WorkloadState + WorkloadHistory -> Recommendation
    retarget     an HPA's target that changes together with the requests it measures against
    quota        whether a namespace's ResourceQuota is large enough for all of it
    names        "deployment/frontend" -> which of the workloads are meant

All of it pure: histories and current states come in as values, whatever answered them.
"""
