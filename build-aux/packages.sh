# What Weir needs, as packages of Debian 12; sourced by quickstart.

PACKAGES_BUILD="gcc libc6-dev make autoconf automake pkg-config tzdata
	libyaml-dev libevent-dev libsqlite3-dev libpcre2-dev libjansson-dev libssl-dev libcurl4-openssl-dev
	uthash-dev zlib1g-dev libzstd-dev"
PACKAGES_TEST="libcmocka-dev clang clang-format libclang-rt-14-dev valgrind sqlite3 zstd mandoc
	groff-base jq python3-minimal python3-yaml python3-aiosmtpd openssl procps xz-utils util-linux git bash zsh fish"

# Install those that are missing. With all there, nothing is asked of the network.
install_packages() {
	missing=
	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed ||
			missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "quickstart: this is not Debian. Install what these packages hold:$missing" >&2
		exit 1
	fi
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	printf '\n== installing%s\n' "$missing"
	$sudo env DEBIAN_FRONTEND=noninteractive sh -c '
		apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@" >/dev/null' sh $missing
}
