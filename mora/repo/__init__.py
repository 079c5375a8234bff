"""Where a Git checkout sets the resources of what runs in a cluster, and changing only those lines.

checkout reads the files; a form (manifests, Kustomize, values of Helm) lists the sites that it knows; matching chooses
the site of each live container by evidence; writing changes it; changes puts all of that together.
"""
