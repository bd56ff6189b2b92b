"""The ESP8266 board: takes readings from the UART or its own sensor, publishes them, and obeys commands for its LED."""
