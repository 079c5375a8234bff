"""Whether a new number is followed: what stands between a recommendation and the change of a container.

A number that is renewed every quarter of an hour moves all the time; most of its moves are not worth a change. Pure:
arrays in, arrays out, moments as epoch seconds, so that the rule that `mora backtest --renew` replays over years is,
line by line, the one that a running container meets.

    rule.py       ChangeRule: deadbands, changes a day, start-up, maintenance window, back-off; the rules by pace
    windows.py    maintenance windows: "Mon-Fri 02:00-04:00"
    state.py      ChangeState: what a rule must remember of each container, to and from JSON
    deciding.py   decide(): numbers in, verdicts and amounts out; why_not(): the verdict as text
    following.py  follow(): the rule over a whole past, for the backtest

A pass over running containers:

    decided = decide(rule, now, wanted, state, at=time.time(), age_seconds=ages)
    state = decided.state                                # of all, changed or not
    for row in np.flatnonzero(decided.is_change.any(axis=1)):
        ...                                              # set decided.amounts[row], whose NaN stay as they are
        state = state.changed_at([row], at)              # it was set: it counts
        state = state.undone_at([row], at, rule)         # it was undone: the next ones wait, longer every time
        state = state.proven([row])                      # it stood its trial: the next back-off is the first again
"""
