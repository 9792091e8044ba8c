#!/bin/bash
# readme.sh: runs the README: each C block is compiled, each sh block is run
# in order in one shell, and what it prints is compared with the text block
# behind it. Also: ARCHITECTURE.md names every source file. Alike in that
# comparison are all keys, pids, ports, ages and runs of blanks.
. "$(dirname "$0")/tap.sh"
CC=${CC:-cc} CXX=${CXX:-c++}
mkdir "$tmp/blocks" "$tmp/work"
shell=
clean_up() {
    [ -n "$shell" ] && kill -KILL -- "-$shell" 2>/dev/null
    rm -rf "$tmp"
}
trap clean_up EXIT

# LINE.c, LINE.sh, and LINE.want: the text block right behind an sh block.
awk -v dir="$tmp/blocks" '
    /^```/ && !kind {
        kind = substr($0, 4)
        name = ""
        if (kind == "c" || kind == "sh") name = sprintf("%04d.%s", NR, kind)
        if (kind == "text" && sh) name = sh
        sh = kind == "sh" ? sprintf("%04d.want", NR) : ""
        if (name) printf "" >(dir "/" name)
        next
    }
    /^```/ { kind = ""; next }
    kind && name { print >(dir "/" name) }
    !kind && /[^ ]/ { sh = "" }' README.md

# ---- the programs -----------------------------------------------------------

packages='lmdb libsodium libuv'
pkg-config --exists msgpack-c 2>/dev/null && packages="$packages msgpack-c"
# shellcheck disable=SC2086 # a list
read -ra libs <<<"$(pkg-config --libs $packages)"
compiles() { # block, compiler, option...
    local block=$1
    shift
    "$@" -Wall -Wextra -Wpedantic -Werror -Iinclude -c -o "$tmp/block.o" \
        "$block"
}
runs() {
    "$CC" -o "$tmp/block" "$tmp/block.o" \
        "$BUILD/public/libedgecrdt-sync.a" "${libs[@]}" -pthread &&
        (cd "$tmp/work" && "$tmp/block")
}
for block in "$tmp"/blocks/*.c; do
    line=$(basename "$block" .c)
    check "C at line $line as C++17" compiles "$block" "$CXX" -x c++ -std=c++17
    check "C at line $line as C11" compiles "$block" "$CC" -std=c11
    grep -q 'int main' "$block" && check "C at line $line runs" runs
done

# ---- the shell blocks -------------------------------------------------------

# The default port may be in use here.
port=7433
while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((20000 + RANDOM % 12000))
done
sed -i "s/\b7433\b/$port/g" "$tmp"/blocks/*.sh

cat >"$tmp/session" <<'SESSION'
set -e
cd "$1/work"
for block in "$1"/blocks/*.sh; do
    exec >"${block%.sh}.got" 2>&1
    . "$block"
    : >"${block%.sh}.done"
done
SESSION
PATH=$BUILD:$PATH setsid timeout 120 bash "$tmp/session" "$tmp" &
shell=$!
wait $shell

alike() {
    sed -E -e 's/ed25519:[A-Za-z0-9_-]{43}/KEY/g' \
        -e 's/ [A-Za-z0-9_-]{12}\.\. / KEY.. /g' -e 's/pid [0-9]+/pid N/g' \
        -e 's/[0-9]+ s ago/N s ago/g' -e 's/127\.0\.0\.1:[0-9]+/ADDRESS/g' \
        -e 's/[0-9]+ links/N links/g' -e 's/[[:blank:]]+/ /g' "$1"
}
prints() { # block
    local want=${1%.sh}.want got=${1%.sh}.got
    [ -e "$want" ] || want=/dev/null
    [ -e "${1%.sh}.done" ] || echo 'it failed or took too long:'
    diff <(alike "$want") <(alike "$got") && [ -e "${1%.sh}.done" ]
}
for block in "$tmp"/blocks/*.sh; do
    check "sh at line $(basename "$block" .sh)" prints "$block"
done

# ---- the map ----------------------------------------------------------------

mapped() {
    local f missing=0
    for f in $(find lib crdt replication cli examples -name '*.[ch]'); do
        grep -qF "\`${f#*/}\`" ARCHITECTURE.md ||
            { echo "$f is not in ARCHITECTURE.md" && missing=1; }
    done
    return $missing
}
check 'ARCHITECTURE.md names every source file' mapped

# What the README quotes of the log, msg="...", is what the sources say there.
quoted() {
    local text missing=0 all
    all=$(find lib crdt replication -name '*.c' -exec cat {} + | tr '\n' ' ' |
        sed -E 's/" +"//g; s/\\"/"/g')
    while read -r text; do
        grep -qF -- "$text" <<<"$all" ||
            { echo "no source says $text" && missing=1; }
    done < <(grep -oE 'msg="[^"(]+' README.md | sort -u)
    return $missing
}
check 'lines of the log are quoted as they are' quoted

# Each relative link of the pages leads to a file.
links() {
    local page target broken=0
    for page in *.md docs/decisions/*.md; do
        for target in $(grep -oE '\]\([^)#: ]+' "$page" | cut -c 3-); do
            [ -e "$(dirname "$page")/$target" ] ||
                [ "$target" = docs/bench.svg ] ||
                { echo "$page: $target is not there" && broken=1; }
        done
    done
    return $broken
}
check 'links between the pages lead somewhere' links

finish
