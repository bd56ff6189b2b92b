"""The MQTT broker's side of the house: the embedded broker for trying out, later Mosquitto for production."""
