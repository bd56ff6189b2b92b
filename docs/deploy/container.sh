#!/bin/sh
# What a container begins with: secrets out of their files, the broker's login out of its directory; then what was asked.
set -eu
for name in SECRET_KEY ADMIN_PASSWORD DATABASE_PASSWORD MQTT_URL; do
  eval "file=\${${name}_FILE-}"
  if [ -n "$file" ]; then
    eval "$name=\$(cat \"\$file\")"
    export "${name?}"
  fi
done
# The word PASSWORD in the address stands for what the file holds.
if [ -n "${DATABASE_PASSWORD-}" ]; then
  export DATABASE_URL="${DATABASE_URL%%PASSWORD*}$DATABASE_PASSWORD${DATABASE_URL#*PASSWORD}"
fi
# BROKER is the host name of one made by `python -m broker init`, whose directory is there as /broker. Its file has the
# address for the same machine; from another one it is reached by TLS.
if [ -n "${BROKER-}" ]; then
  directory=${BROKER_DIR:-/broker}
  set -a
  . "$directory/server.env"
  login=${MQTT_URL#mqtt://}
  MQTT_URL="mqtts://${login%@*}@$BROKER:${BROKER_PORT:-8883}"
  # The file names the directory as the broker's container sees it.
  MQTT_CA_FILE=$directory/certificates/ca.crt
  MQTT_DEVICE_CA_FILE=$MQTT_CA_FILE
  set +a
fi
unset DATABASE_PASSWORD
exec python "$@"
