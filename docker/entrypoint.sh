#!/bin/sh
# What the image starts: secrets come from files where there are any, the schema is brought up to date, and then the
# partition-registry command does what it is told.
set -eu

# NAME_FILE names the file that holds what NAME would: a secret that is mounted, and no part of the environment.
for name in PARTITION_REGISTRY_URL PARTITION_REGISTRY_DATABASE_URL PARTITION_REGISTRY_ADMINISTRATOR_TOKEN PARTITION_REGISTRY_ACCESS_TOKEN PGPASSWORD; do
    eval "file=\${${name}_FILE:-}"
    if [ -n "$file" ]; then
        value=$(cat "$file")
        export "$name=$value"
    fi
done

# The registry that is upgraded is the one that `serve` takes: PARTITION_REGISTRY_DATABASE_URL counts more.
# Of several replicas that start together one upgrades, under a lock of the database's, and the others wait for it.
if [ "${1:-}" = serve ]; then
    PARTITION_REGISTRY_URL=${PARTITION_REGISTRY_DATABASE_URL:-${PARTITION_REGISTRY_URL:-}} partition-registry db upgrade
fi
exec partition-registry "$@"
