# Prepares from a package's folder, and starts what is installed.
set -eu
(cd packages/site && portkeeper prepare --format text)
python3 packages/api/server.py & api=$!
trap 'kill $api ${site-}; wait; portkeeper down --format text' EXIT
port=$(sed -n 's/^PORT=//p' packages/api/.env)
portkeeper wait "$port" --ready --timeout 30s
ask="import sys; from urllib.request import urlopen; print(urlopen(sys.argv[1]).read().decode(), end='')"
python3 -c "$ask" "http://localhost:$port/tea"
if command -v node >/dev/null; then
    node packages/site/server.js & site=$!
    port=$(portkeeper json get /server/port --file packages/site/config.json)
    portkeeper wait "$port" --ready --timeout 30s
    python3 -c "$ask" "http://localhost:$port/tea"
    python3 -c "$ask" "http://localhost:$port/config.js"
fi
