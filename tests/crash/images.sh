#!/bin/bash
# images.sh: a recorded run of a FULL and of a RELAXED store, and what crashes
# at some of its moments leave; images_long.sh is the same at every moment.
#   STEPS=N EACH=N images.sh
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
C=$BUILD/tests/crash
base=${TEST_TMPDIR:-/dev/shm}
[ -w "$base" ] || base=/tmp
tmp=$(mktemp -d "$base/edgecrdt-images.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
# The recorder comes before the sanitizer's runtime.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0

record() { # LEVEL FOLDER STEPS
    RECORD_FOLDER=$2 RECORD_TO=$2.journal LD_PRELOAD=$C/recorder.so \
        "$C/image_work" "$2" "$1" "$3"
}

failed=0
for level in full relaxed; do
    record $level "$tmp/$level" "${STEPS:-60}" || exit 1
    echo "# $level"
    "$C/image_replay" "$tmp/$level.journal" "$tmp/$level" $level \
        "${EACH:-8}" || failed=1
done

# The same without each third sync: a check that cannot fail is none.
record full "$tmp/forgetful" 24 || exit 1
FORGET_SYNCS=1 "$C/image_replay" "$tmp/forgetful.journal" "$tmp/forgetful" \
    full 1 >"$tmp/forgetful.tap" 2>&1
if grep -q '^not ok' "$tmp/forgetful.tap"; then
    echo "ok 1 - forgotten syncs are noticed"
else
    echo "not ok 1 - forgotten syncs go unnoticed"
    failed=1
fi
echo "1..1"
exit $failed
