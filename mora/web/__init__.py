"""`mora serve`: recommendations that renew themselves in the background, as a page, an API and Prometheus metrics.

compute   in a process of its own: from the settings to an answer, as JSON
refresh   runs it again and again, keeps the last good answer, writes the record (mora/record)
live      what is served now: an answer for each cluster, how old it is, and what is wrong
app       the paths; metrics, page and documents make what they answer
service   the process: listen, refresh, shut down
"""
