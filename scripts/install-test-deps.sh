#!/usr/bin/env bash
# Installs the programs that the integration tests start themselves, nginx, haproxy, apache2, PHP, chromium and Node.js,
# a C compiler for the race detector, and what the tests to come need: redis-server. Debian and its relatives only, as root or
# with sudo. What is there already is left alone, and with nothing missing the script asks nobody for anything.
#
# No service is started: while apt runs, a policy-rc.d forbids it, and is taken away afterwards whatever happens. The
# services of packages installed here are disabled too, or they would start at the next boot.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# One line a program: the program, the package that has it, what needs it.
needs="nginx nginx the_nginx_example
haproxy haproxy the_HAProxy_example
apache2 apache2 the_Apache_example
php-cgi php-cgi PHP_applications_inside_Apache_and_behind_Caddy
php php-cli the_application_of_the_examples
redis-server redis-server the_tests_of_session_stores,_which_are_to_come
chromium chromium the_pages_in_a_real_browser
node nodejs another_vendor's_provider_with_CIBA
npm npm another_vendor's_provider_with_CIBA
curl curl the_till_of_the_examples
jq jq the_till_of_the_examples
gcc gcc the_race_detector"

packages=()
while read -r program package purpose; do
	if command -v "$program" >/dev/null 2>&1; then
		continue
	fi
	echo "missing: $program (Debian package $package), for ${purpose//_/ }"
	packages+=("$package")
	if [ "$package" = gcc ]; then
		packages+=(libc6-dev)
	fi
done <<<"$needs"

if [ "${#packages[@]}" -eq 0 ]; then
	echo "test programs: nginx, haproxy, apache2, php, redis-server, chromium, node, npm, curl, jq and gcc are all here"
	exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
	echo "This script installs with apt-get (Debian, Ubuntu), which is not here. Install the programs above with your" >&2
	echo "system's own means and run again; or run 'go test ./...', which skips the tests that lack one and says so." >&2
	exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "Installing needs root, and there is no sudo. As root: apt-get install ${packages[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
	if [ ! -t 0 ]; then
		as_root=(sudo -n) # nobody is there to type a password
	fi
fi

policy=/usr/sbin/policy-rc.d
saved=$policy.vippsauth-saved
mark="# vippsauth: no service starts while the test programs are being installed"

allow_services() {
	if grep -qsxF "$mark" "$policy"; then
		"${as_root[@]}" rm -f "$policy"
	fi
	if [ -e "$saved" ] || [ -L "$saved" ]; then
		"${as_root[@]}" mv -f "$saved" "$policy"
	fi
}

forbid_services() {
	allow_services # what an earlier run, killed half-way, may have left
	trap allow_services EXIT
	trap 'exit 130' INT TERM HUP
	if [ -e "$policy" ] || [ -L "$policy" ]; then
		"${as_root[@]}" mv "$policy" "$saved"
	fi
	printf '#!/bin/sh\n%s\nexit 101\n' "$mark" | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 755 "$policy"
}

apt() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

echo "installing: ${packages[*]}"
forbid_services
apt update -qq
apt install -y -qq --no-install-recommends "${packages[@]}" >/dev/null

for package in "${packages[@]}"; do
	case $package in
	nginx | haproxy | apache2 | redis-server)
		if command -v systemctl >/dev/null 2>&1; then
			"${as_root[@]}" systemctl disable "$package" >/dev/null 2>&1 || true
		fi
		;;
	esac
done
echo "installed: ${packages[*]}; no service was started, and none will be at the next boot"
