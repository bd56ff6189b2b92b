"""What it costs, as ratios against a baseline in the same run: `make bench`. Starts the same parts as the tests."""
