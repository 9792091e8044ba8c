#!/bin/sh
# install.sh: what `make install` and `make uninstall` do. The Makefile gives
# DESTDIR PREFIX BINDIR LIBDIR INCDIR BUILD MAJOR VERSION CORE_PC SYNC_PC.
set -eu
cd "$(dirname "$0")/.."

# Each file is written by put(); uninstall walks the same list and removes.
verb=$1
case $verb in
install | uninstall) ;;
*) echo "usage: make install | make uninstall" >&2 && exit 64 ;;
esac

put() { # mode, source, target
    if test "$verb" = uninstall; then
        rm -f "$DESTDIR$3"
    else
        install -D -m "$1" "$2" "$DESTDIR$3"
    fi
}

link() { # what it points to, target
    if test "$verb" = uninstall; then
        rm -f "$DESTDIR$2"
    else
        ln -sf "$1" "$DESTDIR$2"
    fi
}

# What a static program links with. Some systems have the static half of a
# library under a name of its own, as libuv-static of Debian.
static_libs() { # package...
    for pc in "$@"; do
        shift
        pkg-config --exists "$pc-static" 2>/dev/null && pc=$pc-static
        set -- "$@" "$pc"
    done
    pkg-config --static --libs "$@"
}

# Fills in the @NAMES@ of a template, and the folder of the programs.
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
fill() { # source, target
    if test "$verb" = install; then
        # shellcheck disable=SC2086 # lists of package names
        sed -e "s|@PREFIX@|$PREFIX|" -e "s|@LIBDIR@|$LIBDIR|" \
            -e "s|@INCDIR@|$INCDIR|" -e "s|@VERSION@|$VERSION|" \
            -e "s|@CORE_LIBS@|$(static_libs $CORE_PC)|" \
            -e "s|@SYNC_LIBS@|$(static_libs $SYNC_PC)|" \
            -e "s|/usr/bin/edgecrdtd|$BINDIR/edgecrdtd|" "$1" >"$tmp"
    fi
    put 644 "$tmp" "$2"
}

put 644 include/edgecrdt.h "$INCDIR/edgecrdt.h"
put 644 include/edgecrdt_sync.h "$INCDIR/edgecrdt_sync.h"
for lib in edgecrdt edgecrdt-sync; do
    so=lib$lib.so
    put 644 "$BUILD/public/lib$lib.a" "$LIBDIR/lib$lib.a"
    put 644 "$BUILD/$so.$VERSION" "$LIBDIR/$so.$VERSION"
    link "$so.$VERSION" "$LIBDIR/$so.$MAJOR"
    link "$so.$MAJOR" "$LIBDIR/$so"
    fill pkgconfig/$lib.pc.in "$LIBDIR/pkgconfig/$lib.pc"
done
for program in edgecrdt edgecrdtd; do
    if test "$verb" = uninstall || test -e "$BUILD/$program"; then
        put 755 "$BUILD/$program" "$BINDIR/$program"
    fi
done
fill packaging/edgecrdtd.service "$PREFIX/lib/systemd/system/edgecrdtd.service"
put 644 packaging/sysusers.conf "$PREFIX/lib/sysusers.d/edgecrdt.conf"
put 644 packaging/edgecrdtd.conf.example \
    "$PREFIX/share/doc/edgecrdt/edgecrdtd.conf.example"
put 644 packaging/tmpfiles.conf "$PREFIX/lib/tmpfiles.d/edgecrdt.conf"
# New shared libraries become known to the loader.
if test -z "$DESTDIR" && test "$(id -u)" = 0; then
    PATH=$PATH:/sbin:/usr/sbin ldconfig
fi
