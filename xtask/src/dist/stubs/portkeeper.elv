# Completion for portkeeper: `use portkeeper` in rc.elv. The program itself knows how; the two always fit.
eval (portkeeper completions elvish | slurp)
