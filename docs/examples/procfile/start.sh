# What foreman, honcho and overmind do: each line of the Procfile is a process.
while IFS=: read -r name command; do
    case $name in '#'* | '') continue ;; esac
    sh -c "exec $command" &
done <Procfile
[ $# -eq 0 ] || "$@"
[ $# -ne 0 ] || wait
