"""Files and commands for the operator."""
