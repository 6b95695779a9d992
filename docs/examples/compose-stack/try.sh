# Both services without containers, as `docker compose up` starts them with.
set -eu
portkeeper prepare --format text
set -a; . ./.env; set +a
python3 api.py & api=$!
python3 web.py & web=$!
trap 'kill $api $web; wait; portkeeper down --format text' EXIT
portkeeper wait "$API_PORT" --ready --timeout 30s
portkeeper wait "$WEB_PORT" --ready --timeout 30s
python3 -c "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:$WEB_PORT/hello').read().decode(), end='')"
