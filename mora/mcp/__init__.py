"""Read-only tools for assistants, by the Model Context Protocol: what `mora recommend` and `mora explain` answer.

An assistant pays for every token that it reads. Answers are therefore one line a container, with the same numbers as
`-o json`, and end where their budget ends, with what to ask for next.
"""
