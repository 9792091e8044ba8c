#!/bin/sh
# deps.sh: makes sure that what the build and the checks need is installed.
#   packaging/deps.sh           installs what is missing (Debian, apt-get)
#   packaging/deps.sh --check   only says what is missing; exit 1 if anything
#   packaging/deps.sh GROUP...  the same with what single targets need: fuzz,
#                               afl, coverage
# Touches neither the network nor apt when nothing is missing.
set -eu

# package  how to see that it is there: cmd:NAME, pc:PKG-CONFIG-NAME
needs='
gcc              cmd:cc
g++              cmd:c++
libc6-dev        file:/usr/include/stdio.h
binutils         cmd:objcopy
make             cmd:make
git              cmd:git
pkg-config       cmd:pkg-config
liblmdb-dev      pc:lmdb
libsodium-dev    pc:libsodium
libmsgpack-dev   pc:msgpack
libuv1-dev       pc:libuv
libconfuse-dev   pc:libconfuse
libjansson-dev   pc:jansson
libcmocka-dev    pc:cmocka
libsqlite3-dev   pc:sqlite3
universal-ctags  cmd:ctags
clang-format     cmd:clang-format
procps           cmd:pgrep
faketime         cmd:faketime
'
needs_fuzz='
clang            cmd:clang
llvm             cmd:llvm-cov
'
needs_afl='
afl++            cmd:afl-clang-fast
'
needs_coverage='
python3          cmd:python3
'
for group in "$@"; do
    case $group in
    --check) ;;
    fuzz) needs=$needs$needs_fuzz ;;
    afl) needs=$needs$needs_afl ;;
    coverage) needs=$needs$needs_coverage ;;
    *) echo "deps.sh: there is no group $group" >&2 && exit 2 ;;
    esac
done

has_pc() {
    command -v pkg-config >/dev/null && pkg-config --exists "$1"
}

has() {
    case $1 in
    cmd:*) command -v "${1#cmd:}" >/dev/null ;;
    file:*) test -e "${1#file:}" ;;
    pc:msgpack) has_pc msgpack-c || has_pc msgpack ;;
    pc:*) has_pc "${1#pc:}" ;;
    esac
}

missing=$(echo "$needs" | while read -r package probe; do
    test -z "$package" || has "$probe" || printf '%s ' "$package"
done)
test -n "$missing" || exit 0

fail() {
    echo "deps.sh: $1" >&2
    echo "deps.sh: install these Debian packages by hand: $missing" >&2
    exit 1
}

test "${1:-}" != --check || fail "something is missing; 'make deps' installs it"
command -v apt-get >/dev/null || fail 'no apt-get on this system'
sudo=
if test "$(id -u)" != 0; then
    command -v sudo >/dev/null || fail 'not root, and there is no sudo'
    sudo=sudo
fi
echo "deps.sh: installing $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" \
        </dev/null >"$log" 2>&1 && return
    tail -n 20 "$log" >&2
    fail "apt-get $1 failed"
}
apt update
# shellcheck disable=SC2086 # a list of names
apt install --no-install-recommends $missing
