#!/bin/sh
# Prints who logs in with the QR code of this kiosk, one person a line, until it is stopped.
#
#	VIPPSAUTH_URL=https://app.example.com VIPPSAUTH_TOKEN_FILE=kiosk.token ./kiosk.sh
#
# Needs curl and jq.
set -eu
api=${VIPPSAUTH_URL:?the address of vippsauth}/_vipps/merchant
token_file=${VIPPSAUTH_TOKEN_FILE:?the file with the token of this kiosk}

while :; do
	# Is answered when somebody has scanned the code and approved, and with an empty 204 after 25 seconds.
	answer=$(printf 'header = "Authorization: Bearer %s"\n' "$(cat "$token_file")" |
		curl --silent --show-error --fail --config - "$api/qr-logins?wait=25") || { sleep 5; continue; }
	if [ -n "$answer" ]; then
		echo "$answer" | jq -c .
	fi
done
