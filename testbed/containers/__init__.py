"""``make containers``: builds the images and brings the Compose files up for real, without a daemon or a registry.

- :mod:`~testbed.containers.tools`: the programs that this needs, from Debian's packages;
- :mod:`~testbed.containers.machine`: namespaces that take everything with them when they end;
- :mod:`~testbed.containers.engine`: Podman, told to keep everything in one folder;
- :mod:`~testbed.containers.standins`: local images under the names of the official ones;
- :mod:`~testbed.containers.preparing`: makes those, and builds the project's own images;
- :mod:`~testbed.containers.stack`: what Compose brings up, and what is asked of it;
- :mod:`~testbed.containers.checking`: runs the checks, which are in :mod:`~testbed.containers.checks`.
- :mod:`~testbed.containers.cleaning`: removes what they leave.
"""
