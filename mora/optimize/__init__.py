"""Several services under one SLO: the fewest cores that serve the loads of a whole shop, proved by driving them.

attribution   what squeezing one service alone costs every class in latency and errors, from experiments
problem       what may be chosen for each service, and the limits all choices together keep
exact, greedy the cheapest choices: integer programming, or the best trade first where there are many services
solve         nodes, quota and priorities around them, and what binds
learn, prove  the experiments before an answer, and the one after it
"""
