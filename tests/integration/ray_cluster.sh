#!/bin/sh
# A Ray cluster of two machines with a core each, for as long as a command runs: ray_cluster.sh FOLDER COMMAND …
# In a network of its own that has nothing but loopback, as Ray's daemons listen on every interface; and among
# processes of its own, which all end with it.
set -eu
if [ "${EDGEML_ALONE:-}" != yes ]; then
    [ "$(id -u)" = 0 ] && user= || user=--map-root-user
    # shellcheck disable=SC2086 - one option or none
    EDGEML_ALONE=yes exec unshare $user --net --pid --fork --mount-proc --kill-child "$0" "$@"
fi
folder=$1 ray=$(dirname "$2")/ray
shift
ip link set lo up
export RAY_USAGE_STATS_ENABLED=0
begin() { "$ray" start --num-cpus 1 --node-ip-address 127.0.0.1 --disable-usage-stats "$@" >>"$folder/ray.log" 2>&1; }
begin --head --port 6399 --include-dashboard=false --temp-dir "$folder/ray" || { cat "$folder/ray.log" >&2; exit 1; }
begin --address 127.0.0.1:6399 || { cat "$folder/ray.log" >&2; exit 1; }
"$@"
