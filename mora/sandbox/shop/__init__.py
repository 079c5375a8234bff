"""The shop: five small services of real processes, named as in Online Boutique.

They do real work, so that CPU use grows with requests and memory with sessions. A replica has to start fast and stay
small: these modules import only the standard library and each other.
"""
