#!/bin/sh
# A Ray cluster of two machines with a core each, for as long as a command runs: ray_cluster.sh FOLDER COMMAND …
# Its daemons listen on every interface: run it by loopback.sh.
set -eu
folder=$1 ray=$(dirname "$2")/ray
shift
export RAY_USAGE_STATS_ENABLED=0
begin() { "$ray" start --num-cpus 1 --node-ip-address 127.0.0.1 --disable-usage-stats "$@" >>"$folder/ray.log" 2>&1; }
begin --head --port 6399 --include-dashboard=false --temp-dir "$folder/ray" || { cat "$folder/ray.log" >&2; exit 1; }
begin --address 127.0.0.1:6399 || { cat "$folder/ray.log" >&2; exit 1; }
"$@"
