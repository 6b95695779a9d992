# Completion for portkeeper. The program itself knows how; the two always fit.
source <(portkeeper completions bash)
