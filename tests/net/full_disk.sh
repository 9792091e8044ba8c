#!/bin/bash
# full_disk.sh: an edge on a disk of 6 MiB: it stops pulling when the disk is
# full, keeps pushing, and recovers by itself when there is room.
. "$(dirname "$0")/lib.sh"

star
mkdir "$tmp/small"
if ! mount -t tmpfs -o size=6m tmpfs "$tmp/small" 2>/dev/null; then
    echo 'ok 1 - full disk # SKIP cannot mount a tmpfs here'
    echo '1..1'
    exit 0
fi
trap 'clean_up_mount' EXIT
clean_up_mount() {
    for n in "${!pid[@]}"; do kill -KILL "${pid[$n]}"; done 2>/dev/null
    wait 2>/dev/null
    umount -l "$tmp/small"
    rm -rf "$tmp"
}
"$H" init "$tmp/small/e1" full
sed -i "s|\"$tmp/e1\"|\"$tmp/small/e1\"|" "$tmp/e1.conf"
for n in core e1; do check "$n starts" start $n; done
"$H" set "$tmp/small/e1" b first 1
check 'they sync' arrives core b first 1

fill core b big 60000 100
check 'a full disk is logged' logged e1 'pulling stops' 20
check 'the relay lives' kill -0 "${pid[e1]}"
dd if=/dev/zero of="$tmp/small/ballast" bs=1k count=64 2>/dev/null
rm -f "$tmp/small/ballast"
for size in 7 8 9 10 11 12; do # the relay may be faster than a write here
    mount -o remount,size=${size}m "$tmp/small"
    "$H" set "$tmp/small/e1" b mine 1 && break
done
check 'what is written here is still pushed' arrives core b mine 1 20000
mount -o remount,size=64m "$tmp/small"
check 'it recovers by itself' \
    "$H" same b 60000 "$tmp/core" "$tmp/small/e1"
check 'and says so' logged e1 'applying again'
finish
