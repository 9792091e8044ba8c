#!/bin/bash -eu
# build.sh: builds the fuzz targets as OSS-Fuzz wants them: programs, seeds and
# dictionaries in $OUT, and the shared libraries that its runner lacks.
: "${OUT:?}" "${CC:=clang}" "${LIB_FUZZING_ENGINE:=-fsanitize=fuzzer}"
make -j"$(nproc)" BUILD="$OUT/build" CC="$CC" FUZZ_MAIN= \
    CFLAGS="${CFLAGS:-} -fno-sanitize=pointer-overflow" \
    LDFLAGS="$LIB_FUZZING_ENGINE" fuzz-programs

mkdir -p "$OUT/lib"
for target in fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    program=$OUT/$name
    cp "$OUT/build/fuzz/$name" "$program"
    ldd "$program" | awk -v ours='lmdb|sodium|msgpack|uv|confuse|jansson' \
        '$1 ~ "^lib(" ours "|cmocka)" { print $3 }' |
        xargs -r cp -t "$OUT/lib"
    patchelf --set-rpath '$ORIGIN/lib' "$program"
    (cd "fuzz/seeds/${name#fuzz_}" && zip -q -r "${program}_seed_corpus.zip" .)
    dict=fuzz/${name#fuzz_}.dict
    [ ! -e "$dict" ] || cp "$dict" "$program.dict"
done
rm -rf "$OUT/build"
