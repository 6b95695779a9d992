# Completion for portkeeper. The program itself knows how; the two always fit.
portkeeper completions fish | source
