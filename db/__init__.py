"""The ground: tables, what is written to them and how it is read. Imports `settings` and nothing else of ours."""
