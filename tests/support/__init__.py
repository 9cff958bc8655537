"""What the tests are made with: planted secrets and the search for them, homes, commands, other users."""
