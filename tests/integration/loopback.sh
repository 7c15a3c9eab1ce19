#!/bin/sh
# Runs a command in a network of its own that has nothing but loopback, among processes that all end with it: for
# daemons that listen on every interface.
set -eu
if [ "${EDGEML_ALONE:-}" != yes ]; then
    [ "$(id -u)" = 0 ] && user= || user=--map-root-user
    # shellcheck disable=SC2086 - one option or none
    EDGEML_ALONE=yes exec unshare $user --net --pid --fork --mount-proc --kill-child "$0" "$@"
fi
ip link set lo up
exec "$@"
