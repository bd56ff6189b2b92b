"""What is wrong with a broker, or soon will be, and what to type against it."""
