#!/bin/bash
# install.sh: the installed library as a stranger uses it: installs into a
# scratch folder, then compiles, links and runs through pkg-config alone.
. "$(dirname "$0")/tap.sh"
CC=${CC:-cc} CXX=${CXX:-c++}
out=$tmp/out
export PKG_CONFIG_PATH=$out/lib/pkgconfig LD_LIBRARY_PATH=$out/lib

# The first complete C program of the README.
readme_program() {
    [ -e README.md ] && awk '
        /^```/ { if (code && text ~ /int main/) { printf "%s", text; exit }
                 code = /^```c$/; text = ""; next }
        code { text = text $0 "\n" }' README.md
}
readme_program >"$tmp/hello.c"
[ -s "$tmp/hello.c" ] || cat >"$tmp/hello.c" <<'PROGRAM'
#include <edgecrdt.h>
int main(void) {
    ecrdt_store *s = ecrdt_open("hello.store", NULL);
    ecrdt_txn *t = ecrdt_auto(s);
    ecrdt_reg_set(t, "greetings", ECRDT_STR("en"), ECRDT_STR("hello"));
    ecrdt_abort(t);
    return ecrdt_close(s);
}
PROGRAM
cp "$tmp/hello.c" "$tmp/hello.cc"

# Compiles, links and runs the program: flags, compiler, source, option...
hello() {
    local flags=$1 compiler=$2 source=$3
    shift 3
    # shellcheck disable=SC2086 # a list
    $compiler -Wall -Wextra -Werror "$@" -o "$tmp/hello" "$tmp/$source" \
        $flags && rm -rf "$tmp/run" && mkdir "$tmp/run" &&
        (cd "$tmp/run" && "$tmp/hello")
}
# Each takes package, compiler, source, option...
shared() {
    hello "$(pkg-config --cflags --libs "$1")" "${@:2}" &&
        ldd "$tmp/hello" | grep "$out/lib/lib$1.so.0"
}
# Our library static, the others as the system has them.
static() {
    hello "$(pkg-config --static --cflags --libs "$1" |
        sed "s|-l$1|-l:lib$1.a|")" "${@:2}" &&
        ! ldd "$tmp/hello" | grep libedgecrdt
}
all_static() {
    hello "$(pkg-config --static --cflags --libs "$1")" "${@:2}" -static
}

only_ecrdt() { # nm's arguments: at least one name, all of them ecrdt_*
    nm --defined-only "$@" | awk 'NF == 3 { print $3 }' >"$tmp/names"
    [ -s "$tmp/names" ] && ! grep -v '^ecrdt_' "$tmp/names"
}
# Every name that a public header declares is there.
complete() {
    local library=$1
    shift
    nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$tmp/names"
    grep -hoE '^ECRDT_API .*' "$@" | grep -oE 'ecrdt_[a-z0-9_]+\(' |
        tr -d '(' | sort -u | comm -23 - "$tmp/names" >"$tmp/absent"
    cat "$tmp/absent"
    [ ! -s "$tmp/absent" ]
}
alone() { # compiler, language, standard, header
    echo "#include <$4>" | $1 -x "$2" "-std=$3" -Wall -Wextra -Wpedantic \
        -Werror -I"$out/include" -fsyntax-only -
}
version() {
    local v
    v=$(pkg-config --modversion "$1") &&
        echo "int puts(const char *); extern const char *ecrdt_version(void);
              int main(void) { return puts(ecrdt_version()) < 0; }" |
        $CC -x c -o "$tmp/version" - -L"$out/lib" "-l$1" &&
        [ "$("$tmp/version")" = "$v" ]
}

make_it() { make --no-print-directory BUILD="$BUILD" PREFIX="$out" "$@"; }
leaves_nothing() {
    make_it uninstall && ! find "$out" ! -type d | grep .
}

check 'make install' make_it install
[ $failed -eq 0 ] || finish
for lib in edgecrdt edgecrdt-sync; do
    check "C11, shared $lib" shared $lib "$CC" hello.c -std=c11
    check "C++17, shared $lib" shared $lib "$CXX" hello.cc -std=c++17
    check "C11, static $lib" static $lib "$CC" hello.c -std=c11
    check "C++17, static $lib" static $lib "$CXX" hello.cc -std=c++17
    check "lib$lib.so exports ecrdt_* alone" \
        only_ecrdt -D "$out/lib/lib$lib.so"
    check "lib$lib.a exports ecrdt_* alone" \
        only_ecrdt -g "$out/lib/lib$lib.a"
    check "version of $lib" version $lib
    check "C11, all static $lib" all_static $lib "$CC" hello.c -std=c11
done
check 'libedgecrdt.so has all of edgecrdt.h' complete \
    "$out/lib/libedgecrdt.so" include/edgecrdt.h
check 'libedgecrdt-sync.so has all of both headers' complete \
    "$out/lib/libedgecrdt-sync.so" include/*.h
for header in edgecrdt.h edgecrdt_sync.h; do
    check "$header alone, C11" alone "$CC" c c11 $header
    check "$header alone, C17" alone "$CC" c c17 $header
    check "$header alone, C++17" alone "$CXX" c++ c++17 $header
done
check 'make uninstall leaves nothing' leaves_nothing
finish
