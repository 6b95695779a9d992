# Asks both servers, once they are up.
set -eu
for port in "$WEB_PORT" "$ADMIN_PORT"; do
    portkeeper wait "$port" --ready --timeout 30s
    python3 -c "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:$port/').read().decode(), end='')"
done
