"""(topic, payload) -> typed records. One module a device family; pure: no clock, no network, no database."""
