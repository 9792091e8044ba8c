/* type.c: the table of types and the payloads of their events. */
#include "crdt/type.h"

static const struct type *const types[] = {&type_register, &type_element,
                                           &type_entry};

const struct type *type_at(size_t i) {
    return i < sizeof types / sizeof *types ? types[i] : NULL;
}

const struct type *type_of_tag(uint8_t tag) {
    const struct type *ty;
    for (size_t i = 0; (ty = type_at(i)); i++)
        if (ty->tag == tag)
            return ty;
    return NULL;
}

const struct type *type_of_pub(ecrdt_type pub) {
    const struct type *ty;
    for (size_t i = 0; (ty = type_at(i)); i++)
        if (ty->pub == pub)
            return ty;
    return NULL;
}

static void put_whole(struct buf *out, slice s) {
    uint8_t len[VARINT_MAX];
    buf_put(out, len, varint_put(len, s.len));
    buf_put(out, s.data, s.len);
}

void payload_make(struct buf *out, struct item_shape shape, slice key,
                  slice elem, slice value) {
    buf_clear(out);
    if (shape.key_hashed)
        put_whole(out, key);
    if (shape.elem_hashed)
        put_whole(out, elem);
    buf_put(out, value.data, value.len);
}

static bool take_whole(const uint8_t **p, const uint8_t *end, slice *s) {
    uint64_t len;
    size_t n = varint_get(*p, end, &len);
    if (!n || len > (uint64_t)(end - *p) - n)
        return false;
    *s = slice_of(*p + n, len);
    *p += n + len;
    return true;
}

bool payload_split(struct item_shape shape, slice bytes, struct payload *out) {
    const uint8_t *p = bytes.data, *end = p + bytes.len;
    *out = (struct payload){0};
    if (shape.key_hashed && !take_whole(&p, end, &out->key))
        return false;
    if (shape.elem_hashed && !take_whole(&p, end, &out->elem))
        return false;
    out->value = slice_of(p, (size_t)(end - p));
    return true;
}

slice item_full_key(struct item_shape shape, const struct item *it) {
    struct payload parts;
    for (size_t i = 0; i < it->n && shape.key_hashed; i++)
        if (event_live(&it->ev[i]) &&
            payload_split(shape, slice_of(it->ev[i].payload, it->ev[i].len),
                          &parts))
            return parts.key;
    return slice_of(NULL, 0);
}

bool payload_valid(slice id, const struct item_parts *p,
                   const struct event *e) {
    const struct type *ty = type_of_tag(p->tag);
    if (!ty)
        return false;
    if (e->kind == KIND_TOMB)
        return e->len == 0;
    struct payload parts;
    uint8_t marks = KIND_MERGED | (ty->live_kind == KIND_COUNT ? KIND_BYE : 0);
    if ((e->kind & ~marks) != ty->live_kind ||
        !payload_split(p->shape, slice_of(e->payload, e->len), &parts))
        return false;
    if (p->shape.key_hashed && !item_id_key_matches(id, p, parts.key))
        return false;
    if (p->shape.elem_hashed && !item_id_elem_matches(p, parts.elem))
        return false;
    return ty->check(parts.value);
}
