/* test_format.c: the vectors of FORMAT.md, made anew by the code: every line
 * of its "vectors" blocks must be what the code writes, and none may be left
 * out. FORMAT_PRINT=1 prints the lines instead of comparing. */
#include "crdt/chunk_codec.h"
#include "crdt/clocks.h"
#include "crdt/hlc.h"
#include "crdt/keyhead.h"
#include "crdt/type.h"
#include "lib/crc32c.h"
#include "replication/link/channel.h"
#include "replication/message.h"
#include "tests/support/test.h"
#include <ctype.h>
#include <string.h>
#include <unistd.h>

/* ---- the vectors of the page ---------------------------------------------- */

enum { VECTORS = 64, BYTES = 2048, EVENTS = 3 };

static struct vector {
    char name[32], text[2 * BYTES]; /* hex digits, or "text" */
    bool made;
} page[VECTORS];
static size_t n_page;

/* A line "name  hex" begins a vector, an indented one goes on with it. */
static void take_line(const char *line, size_t len) {
    if (!len)
        return;
    if (!isspace((unsigned char)*line)) {
        assert_true(n_page < VECTORS);
        size_t n = strcspn(line, " ");
        assert_true(n < sizeof page->name && n < len);
        memcpy(page[n_page++].name, line, n);
        line += n;
        len -= n;
    }
    struct vector *v = &page[n_page - 1];
    size_t at = strlen(v->text);
    for (; len; line++, len--)
        if (!isspace((unsigned char)*line)) {
            assert_true(at + 1 < sizeof v->text);
            v->text[at++] = *line;
        }
}

static int load_page(void **state) {
    (void)state;
    size_t len;
    char *all = file_read("FORMAT.md", &len);
    bool inside = false;
    for (char *p = all; *p;) {
        size_t n = strcspn(p, "\n");
        if (!strncmp(p, "```", 3))
            inside = !strncmp(p, "```vectors", 10);
        else if (inside)
            take_line(p, n);
        p += n + (p[n] != 0);
    }
    free(all);
    return crypto_init();
}

static void print_vector(const char *name, const char *text) {
    printf("%s", name);
    for (size_t i = 0; text[i]; i++)
        printf("%s%c", i % 72 ? "" : "\n    ", text[i]);
    printf("\n");
}

/* The code made text under that name. */
static void made_text(const char *name, const char *text) {
    if (getenv("FORMAT_PRINT")) {
        print_vector(name, text);
        return;
    }
    for (size_t i = 0; i < n_page; i++)
        if (!strcmp(page[i].name, name)) {
            assert_string_equal(page[i].text, text);
            page[i].made = true;
            return;
        }
    fail_msg("FORMAT.md has no vector \"%s\"", name);
}

static void made(const char *name, slice bytes) {
    static char text[2 * BYTES];
    const uint8_t *p = bytes.data;
    assert_true(bytes.len < BYTES);
    text[0] = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sprintf(text + 2 * i, "%02x", p[i]);
    made_text(name, text);
}

static void made_buf(const char *name, struct buf *b) {
    assert_int_equal(b->err, 0);
    made(name, buf_slice(b));
    buf_free(b);
}

static void made_string(const char *name, const char *text) {
    char quoted[256];
    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    made_text(name, quoted);
}

/* ---- what the examples are made of ---------------------------------------- */

static uint8_t pk[32], origin[ORIGIN_SIZE], salt[16], e16[EVENTS][16];
static uint64_t chain;
static struct item_key key[EVENTS];
static struct event event[EVENTS];
static const uint8_t five[4] = {5, 0, 0, 0};

/* Bucket "b": register "k" = "v", element "x" of set "s", counter "n" + 5, in
 * one commit of the origin of pk = 01 02 .. 20, at 2023-11-14T22:13:20Z. */
static void make_events(void) {
    for (int i = 0; i < 32; i++)
        pk[i] = (uint8_t)(i + 1);
    slice parts[2] = {slice_str("ecrdt-origin-1"), slice_of(pk, 32)};
    crypto_blake2b_parts(origin, 16, parts, 2);
    crypto_blake2b(salt, 16, slice_str("b"));
    item_key_make(&key[0], 0, slice_str("k"), TAG_REGISTER);
    item_key_make(&key[1], 0, slice_str("n"), TAG_ENTRY);
    item_key_origin(&key[1], origin);
    item_key_make(&key[2], 0, slice_str("s"), TAG_ELEMENT);
    item_key_element(&key[2], slice_str("x"));
    event[0] = (struct event){.seq = 1, .kind = KIND_PUT, .len = 1};
    event[0].payload = (const uint8_t *)"v";
    event[1] = (struct event){.seq = 3, .kind = KIND_COUNT, .len = 4};
    event[1].payload = five;
    event[2] = (struct event){.seq = 2, .kind = KIND_PUT};
    event[2].payload = (const uint8_t *)"";
    struct buf scratch = {0};
    for (int i = 0; i < EVENTS; i++) {
        event[i].hlc = hlc_make(1700000000000, 0);
        assert_ok(event_e16(e16[i], salt, origin, item_key_id(&key[i]),
                            &event[i], &scratch));
        event[i].e16 = e16[i];
    }
    buf_free(&scratch);
    static const uint8_t zeros[8];
    uint8_t sum[16];
    slice links[4] = {slice_of(zeros, 8), slice_of(e16[0], 16),
                      slice_of(e16[2], 16), slice_of(e16[1], 16)};
    crypto_blake2b_parts(sum, 16, links, 4);
    chain = load64(sum);
}

static void make_clock(struct vv *v) {
    assert_ok(vv_raise(v, origin, 3, chain));
}

static void make_chunk(struct buf *out) {
    struct chunk c = {.bucket = slice_str("b")};
    struct chunk_part *p = chunk_add_part(&c);
    make_clock(&p->clk);
    p->count = EVENTS;
    c.origins = (uint8_t (*)[ORIGIN_SIZE])alloc_copy_of_origin();
    c.n_origins = 1;
    struct chunk_item items[EVENTS];
    for (uint32_t i = 0; i < EVENTS; i++)
        items[i] = (struct chunk_item){item_key_id(&key[i]), i, 1, 0};
    c.items = items;
    c.n_items = EVENTS;
    c.events = event;
    c.n_events = EVENTS;
    chunk_encode(out, &c);
    c.items = NULL;
    c.events = NULL;
    chunk_free(&c);
}
