/* pack.c: canonical msgpack out, strict msgpack in. */
#include "lib/pack.h"
#include "lib/assert.h"
#include "lib/err.h"

static void put_sized(struct buf *b, uint8_t tag, uint64_t v, size_t width) {
    uint8_t head[9] = {tag};
    for (size_t i = 0; i < width; i++)
        head[1 + i] = (uint8_t)(v >> (8 * (width - 1 - i)));
    buf_put(b, head, 1 + width);
}

void pack_nil(struct buf *b) {
    put_sized(b, 0xc0, 0, 0);
}

void pack_bool(struct buf *b, bool v) {
    put_sized(b, v ? 0xc3 : 0xc2, 0, 0);
}

void pack_uint(struct buf *b, uint64_t v) {
    if (v < 0x80)
        put_sized(b, (uint8_t)v, 0, 0);
    else if (v <= UINT8_MAX)
        put_sized(b, 0xcc, v, 1);
    else if (v <= UINT16_MAX)
        put_sized(b, 0xcd, v, 2);
    else if (v <= UINT32_MAX)
        put_sized(b, 0xce, v, 4);
    else
        put_sized(b, 0xcf, v, 8);
}

void pack_bin_header(struct buf *b, size_t n) {
    if (n <= UINT8_MAX)
        put_sized(b, 0xc4, n, 1);
    else if (n <= UINT16_MAX)
        put_sized(b, 0xc5, n, 2);
    else if (n <= UINT32_MAX)
        put_sized(b, 0xc6, n, 4);
    else if (!b->err)
        b->err = err_set(ECRDT_ETOOBIG,
                         "cannot encode %zu bytes as one "
                         "msgpack value: the format ends at "
                         "4 GiB",
                         n);
}

void pack_bin(struct buf *b, slice s) {
    pack_bin_header(b, s.len);
    buf_put(b, s.data, s.len);
}

void pack_array(struct buf *b, uint32_t n) {
    if (n < 16)
        put_sized(b, (uint8_t)(0x90 | n), 0, 0);
    else if (n <= UINT16_MAX)
        put_sized(b, 0xdc, n, 2);
    else
        put_sized(b, 0xdd, n, 4);
}

enum { ARRAY_ROOM = 5 };

size_t pack_array_begin(struct buf *b) {
    size_t place = b->len;
    buf_extend(b, ARRAY_ROOM);
    return place;
}

void pack_array_end(struct buf *b, size_t place, uint32_t n) {
    if (b->err)
        return;
    size_t end = b->len;
    INVARIANT(place + ARRAY_ROOM <= end);
    b->len = place;
    pack_array(b, n);
    size_t body = end - place - ARRAY_ROOM;
    memmove(b->data + b->len, b->data + place + ARRAY_ROOM, body);
    b->len += body;
}

void unpack_init(struct unpack *u, slice s) {
    const uint8_t *p = s.data ? s.data : (const uint8_t *)"";
    *u = (struct unpack){.p = p, .end = p + s.len};
}

void unpack_fail(struct unpack *u) {
    if (!u->err) /* the first failure sticks, a caller's own too */
        u->err = ECRDT_ECORRUPT;
    u->p = u->end;
}

static size_t left(const struct unpack *u) {
    return (size_t)(u->end - u->p);
}

/* The next byte without consuming it; a failure reads as 0xc1, which the
 * format never uses. */
static uint8_t peek(struct unpack *u) {
    if (!u->err && left(u))
        return *u->p;
    unpack_fail(u);
    return 0xc1;
}

/* Consumes a tag and the big-endian number of width bytes behind it; fails
 * on one below min, which has a shorter form. */
static uint64_t take_sized(struct unpack *u, size_t width, uint64_t min) {
    if (left(u) < 1 + width) {
        unpack_fail(u);
        return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < width; i++)
        v = v << 8 | u->p[1 + i];
    u->p += 1 + width;
    if (v < min) {
        unpack_fail(u);
        return 0;
    }
    return v;
}

bool unpack_bool(struct unpack *u) {
    uint8_t tag = peek(u);
    if (tag != 0xc2 && tag != 0xc3) {
        unpack_fail(u);
        return false;
    }
    u->p++;
    return tag == 0xc3;
}

bool unpack_nil(struct unpack *u) {
    if (u->err || !left(u) || *u->p != 0xc0)
        return false;
    u->p++;
    return true;
}

uint64_t unpack_uint(struct unpack *u) {
    uint8_t tag = peek(u);
    if (tag < 0x80) {
        u->p++;
        return tag;
    }
    switch (tag) {
    case 0xcc:
        return take_sized(u, 1, 0x80);
    case 0xcd:
        return take_sized(u, 2, (uint64_t)UINT8_MAX + 1);
    case 0xce:
        return take_sized(u, 4, (uint64_t)UINT16_MAX + 1);
    case 0xcf:
        return take_sized(u, 8, (uint64_t)UINT32_MAX + 1);
    default:
        unpack_fail(u);
        return 0;
    }
}

uint64_t unpack_uint_max(struct unpack *u, uint64_t max) {
    uint64_t v = unpack_uint(u);
    if (v <= max)
        return v;
    unpack_fail(u);
    return 0;
}

static size_t take_bin_header(struct unpack *u) {
    switch (peek(u)) {
    case 0xc4:
        return (size_t)take_sized(u, 1, 0);
    case 0xc5:
        return (size_t)take_sized(u, 2, (uint64_t)UINT8_MAX + 1);
    case 0xc6:
        return (size_t)take_sized(u, 4, (uint64_t)UINT16_MAX + 1);
    default:
        unpack_fail(u);
        return 0;
    }
}

slice unpack_bin(struct unpack *u, size_t max) {
    size_t n = take_bin_header(u);
    if (n > max || n > left(u)) {
        unpack_fail(u);
        n = 0;
    }
    slice s = slice_of(u->p, n);
    u->p += n;
    return s;
}

const uint8_t *unpack_bin_exact(struct unpack *u, size_t n) {
    slice s = unpack_bin(u, n);
    if (s.len != n)
        unpack_fail(u);
    return u->err ? NULL : s.data;
}

static uint32_t take_array_header(struct unpack *u) {
    uint8_t tag = peek(u);
    if ((tag & 0xf0) == 0x90) {
        u->p++;
        return tag & 0x0f;
    }
    if (tag == 0xdc)
        return (uint32_t)take_sized(u, 2, 16);
    if (tag == 0xdd)
        return (uint32_t)take_sized(u, 4, (uint64_t)UINT16_MAX + 1);
    unpack_fail(u);
    return 0;
}

uint32_t unpack_array(struct unpack *u, uint32_t max) {
    uint32_t n = take_array_header(u);
    if (n > max || n > left(u) || u->depth >= PACK_DEPTH) {
        unpack_fail(u);
        n = 0;
    }
    u->depth++;
    return n;
}

void unpack_array_exact(struct unpack *u, uint32_t n) {
    if (unpack_array(u, n) != n)
        unpack_fail(u);
}

void unpack_leave(struct unpack *u) {
    INVARIANT(u->depth > 0);
    u->depth--;
}

int unpack_end(struct unpack *u) {
    if (left(u))
        unpack_fail(u);
    return u->err;
}
