"""What both boards share. It runs on MicroPython and imports nothing but what every board has."""
