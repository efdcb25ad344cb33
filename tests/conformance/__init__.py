"""The OCI distribution specification's conformance assertions for pull and content discovery, and for what a
registry without push must refuse: by meaning, one test for each, against a running proxy.

Section names are those of the specification (1.1). The two headers that its own suite leaves optional,
Docker-Content-Digest on manifests and on blobs, are asked for here.
"""
