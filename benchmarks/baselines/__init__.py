"""What a user would have otherwise, each in a process of its own, in the smallest faithful form."""
