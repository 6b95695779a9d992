# Eight jobs at once.
set -eu
here=$PWD
jobs=$(mktemp -d)
trap 'rm -r "$jobs"' EXIT
pids=
for job in 1 2 3 4 5 6 7 8; do
    mkdir "$jobs/$job"
    cp portkeeper.toml "$jobs/$job"
    (cd "$jobs/$job" && exec portkeeper run --project -- python3 "$here/job.py") & pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
