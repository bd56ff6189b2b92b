"""MQTT in, rows out: receive, decode, store, acknowledge. Uses `db` and `settings`; knows no pages and no API."""
