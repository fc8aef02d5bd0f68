#!/bin/sh
# Logs a customer in by phone number: prints the code to read aloud, waits, and prints who it is.
#
#	VIPPSAUTH_URL=https://app.example.com VIPPSAUTH_TOKEN_FILE=till.token ./till.sh "+47 123 45 678" "openid name"
#
# Needs curl and jq. The token stands in a file that only this program may read, and not in a list of processes.
set -eu
api=${VIPPSAUTH_URL:?the address of vippsauth}/_vipps/merchant
token_file=${VIPPSAUTH_TOKEN_FILE:?the file with the token of this till}
phone=${1:?the phone number of the customer}
scopes=${2:-openid name}

# curl reads the token from its standard input.
ask() {
	printf 'header = "Authorization: Bearer %s"\n' "$(cat "$token_file")" | curl --silent --show-error --config - "$@"
}

body=$(jq -n --arg phone "$phone" --arg scopes "$scopes" '{phone: $phone, scopes: $scopes}')
started=$(ask --header 'Content-Type: application/json' --data-binary "$body" "$api/logins")
id=$(echo "$started" | jq -r '.id // empty')
if [ -z "$id" ]; then
	echo "$started" | jq -r '"not started: " + ([.error, .field, .error_description] | map(select(.)) | join(": "))' >&2
	exit 1
fi
echo "$started" | jq -r '"Read aloud: " + .code'

# Ctrl-C takes the login back, as far as that goes: the app shows it until it expires.
trap 'ask --request DELETE "$api/logins/$id" >/dev/null; exit 130' INT TERM

while :; do
	answer=$(ask "$api/logins/$id?wait=25") # is answered as soon as the state changes, and after 25 seconds at the latest
	case $(echo "$answer" | jq -r '.state // .error') in
	pending) ;;
	approved) # its claims come once: keep them now
		echo "$answer" | jq .result
		exit 0
		;;
	*)
		echo "$answer" | jq -r '"not logged in: " + ([.state // .error, .reason // .error_description] | map(select(.)) | join(": "))' >&2
		exit 1
		;;
	esac
done
