"""The command line for people: typer, prompts, explanations. The only printer beside `client`."""
