"""Devices: the boards' firmware and its stand-in, the simulator. Knows the server only by its MQTT contract."""
