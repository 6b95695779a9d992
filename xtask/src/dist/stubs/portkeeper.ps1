# Completion for portkeeper: `. PATH/portkeeper.ps1` in $PROFILE. The program itself knows how; the two always fit.
portkeeper completions powershell | Out-String | Invoke-Expression
