#!/bin/sh
# A program's name starts that program, anything else is a command of airflow; and what is written the group may write.
umask 0002
if command -v "$1" > /dev/null; then
    exec "$@"
fi
exec airflow "$@"
