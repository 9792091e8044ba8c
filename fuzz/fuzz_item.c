/* fuzz_item.c: an item's record: what decodes comes out of the encoder as it
 * came, walked and decoded it is the same; and an id taken apart is the one
 * that the parts make.
 * Covers: crdt/item.c crdt/keys.c crdt/type.c */
#include "crdt/type.h"
#include "fuzz/fuzz.h"

static void record(slice in) {
    struct item it = {0};
    struct event e;
    struct buf out = {0};
    size_t at = 0, n = 0;
    int rc = item_decode(&it, in);
    FUZZ_CHECK(rc == 0 || rc == ECRDT_ECORRUPT);
    for (; rc == 0 && item_walk(in, &at, &e) == 1; n++)
        FUZZ_CHECK(e.seq == it.ev[n].seq && e.origin == it.ev[n].origin &&
                   e.hlc == it.ev[n].hlc && e.kind == it.ev[n].kind &&
                   e.len == it.ev[n].len &&
                   e.arrival_ms == it.ev[n].arrival_ms);
    if (rc == 0) {
        FUZZ_CHECK(n == it.n && at == in.len);
        item_encode(&out, &it);
        FUZZ_CHECK(slice_eq(buf_slice(&out), in));
    }
    item_free(&it);
    buf_free(&out);
}

static void id(struct fuzz_in *in) {
    struct item_parts p;
    struct item_key k;
    struct event e = {.seq = 1, .kind = fuzz_byte(in)};
    slice text = fuzz_take(in, fuzz_below(in, ITEM_ID_MAX + 2));
    slice rest = fuzz_take(in, SIZE_MAX);
    if (!item_id_parse(text, &p))
        return;
    FUZZ_CHECK(text.len <= ITEM_ID_MAX && p.k_len < text.len + 1);
    e.payload = rest.data;
    e.len = (uint32_t)rest.len;
    bool valid = payload_valid(text, &p, &e);
    FUZZ_CHECK(!valid || type_of_tag(p.tag));
    if (p.shape.key_hashed || p.shape.elem_hashed)
        return;
    item_key_make(&k, 7, slice_of(p.key, p.key_len), p.tag);
    if (p.tag == TAG_ELEMENT)
        item_key_element(&k, p.sub);
    if (p.tag == TAG_ENTRY)
        item_key_origin(&k, p.sub.data);
    FUZZ_CHECK(slice_eq(item_key_id(&k), text) && item_key_tag(&k) == p.tag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_in in = {data, data + size};
    if (fuzz_byte(&in) % 2)
        id(&in);
    else
        record(fuzz_take(&in, size));
    return 0;
}
