# Everything of the Procfile, until it has answered. What is left is ended with the command.
set -eu
portkeeper run --project -- sh start.sh sh ask.sh
