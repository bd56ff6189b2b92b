"""The STM32 board: reads DHT22 sensors and hands each reading over by UART."""
