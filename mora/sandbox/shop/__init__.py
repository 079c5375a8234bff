"""The shop: five small services of real processes, named as in Online Boutique.

They do genuine work, so that CPU grows with requests and memory with sessions. A replica has to start fast and stay
small: these modules import the standard library only, and nothing of MOrA beside themselves.
"""
