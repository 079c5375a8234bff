"""Running pods resized in place, change by change: a canary first, watched, and undone where it does harm.

    fit       what a pod can be given of what is recommended for its workload
    guards    whether a change may begin, and whether one that was made does harm
    book      the changes that are open and done; what the audit log says, and nothing else
    journal   the audit log: one JSON line an event, on the disk before the request is sent
    signals   what Prometheus tells of pods: throttling, a broken SLO
    loop      pass after pass: look at what is open, renew the numbers, begin changes
    service   the loop as a process: lease, endpoints, a clean shutdown

The loop has no state of its own: whatever kills it, the next one reads the audit log and goes on with what was open.
"""
