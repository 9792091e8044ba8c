/* packed.c: msgpack values as our codec and msgpack-c see them. */
#include "tests/support/packed.h"
#include "tests/support/test.h"
#include <msgpack.h>
#include <string.h>

void packed_ask_nil(struct unpack *u) {
    if (!unpack_nil(u))
        unpack_fail(u);
}
void packed_ask_bool(struct unpack *u) {
    unpack_bool(u);
}
void packed_ask_uint(struct unpack *u) {
    unpack_uint(u);
}
void packed_ask_bin(struct unpack *u) {
    unpack_bin(u, SIZE_MAX);
}
void packed_ask_array(struct unpack *u) {
    unpack_array(u, UINT32_MAX);
}

bool packed_accepts(void (*ask)(struct unpack *), slice s) {
    struct unpack u;
    unpack_init(&u, s);
    ask(&u);
    return !u.err;
}

/* Reads one value of any kind and writes it again to b. */
void packed_transcode(struct unpack *u, struct buf *b) {
    slice rest = slice_of(u->p, (size_t)(u->end - u->p));
    if (unpack_nil(u)) {
        pack_nil(b);
    } else if (packed_accepts(packed_ask_bool, rest)) {
        pack_bool(b, unpack_bool(u));
    } else if (packed_accepts(packed_ask_uint, rest)) {
        pack_uint(b, unpack_uint(u));
    } else if (packed_accepts(packed_ask_bin, rest)) {
        pack_bin(b, unpack_bin(u, SIZE_MAX));
    } else {
        uint32_t n = unpack_array(u, UINT32_MAX);
        if (!u->err)
            pack_array(b, n);
        for (uint32_t i = 0; i < n && !u->err; i++)
            packed_transcode(u, b);
        unpack_leave(u);
    }
}

/* Is s one value in the form that our writer has for it? The bytes are read
 * from a block of their exact size, so that sanitizers see a step too far.
 * What is accepted must come out of the writer unchanged. */
bool packed_canonical(slice s) {
    uint8_t *exact = malloc(s.len ? s.len : 1);
    assert_non_null(exact);
    if (s.len)
        memcpy(exact, s.data, s.len);
    struct unpack u;
    struct buf again = {0};
    unpack_init(&u, slice_of(exact, s.len));
    packed_transcode(&u, &again);
    bool yes = unpack_end(&u) == 0;
    if (yes)
        assert_slice_equal(buf_slice(&again), s);
    else
        assert_int_equal(u.err, ECRDT_ECORRUPT);
    buf_free(&again);
    free(exact);
    return yes;
}

/* Our writer's form of a value that msgpack-c read; false if the subset has
 * no such value. */
static bool pack_object(struct buf *b, const msgpack_object *o) {
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        pack_nil(b);
        return true;
    case MSGPACK_OBJECT_BOOLEAN:
        pack_bool(b, o->via.boolean);
        return true;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        pack_uint(b, o->via.u64);
        return true;
    case MSGPACK_OBJECT_BIN:
        pack_bin(b, slice_of(o->via.bin.ptr, o->via.bin.size));
        return true;
    case MSGPACK_OBJECT_ARRAY:
        pack_array(b, o->via.array.size);
        for (uint32_t i = 0; i < o->via.array.size; i++)
            if (!pack_object(b, &o->via.array.ptr[i]))
                return false;
        return true;
    default:
        return false;
    }
}

/* What msgpack-c and our writer make of s; 0 = not the subset, or damaged,
 * or not one value. */
bool packed_reference(struct buf *b, slice s) {
    msgpack_unpacked one;
    msgpack_unpacked_init(&one);
    size_t used = 0;
    bool ok = msgpack_unpack_next(&one, s.data, s.len, &used) ==
                  MSGPACK_UNPACK_SUCCESS &&
              used == s.len && pack_object(b, &one.data);
    msgpack_unpacked_destroy(&one);
    return ok;
}

struct buf packed_from_hex(const char *hex) {
    struct buf b = {0};
    uint8_t *p = buf_extend(&b, strlen(hex) + 1);
    b.len = hex_decode(p, strlen(hex), hex);
    return b;
}

void packed_message(struct buf *b) {
    size_t place = pack_array_begin(b);
    pack_nil(b);
    pack_bool(b, true);
    pack_uint(b, 0x1ff);
    pack_uint(b, UINT64_MAX);
    pack_bin(b, slice_str("bytes"));
    pack_array(b, 2);
    pack_array(b, 0);
    pack_uint(b, 0x80);
    pack_array_end(b, place, 6);
}
