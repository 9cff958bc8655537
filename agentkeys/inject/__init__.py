"""What a shell is given to run: the dialects, and the verbs that print them."""
