/* test_versions.c: the table of versions in FORMAT.md, against what the code
 * writes. */
#include "crdt/chunk_codec.h"
#include "crdt/store.h"
#include "replication/link/handshake.h"
#include "replication/message.h"
#include "replication/peers.h"
#include "tests/support/test.h"
#include <string.h>

static void expect_version(const char *what, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The third cell of that row of the page's table. */
static void expect_version(const char *what, const char *format, ...) {
    char row[80], want[80], is[80];
    size_t len;
    va_list ap;
    va_start(ap, format);
    vsnprintf(want, sizeof want, format, ap);
    va_end(ap);
    char *all = file_read("FORMAT.md", &len);
    char *table = strstr(all, "## Versions");
    assert_non_null(table);
    snprintf(row, sizeof row, "\n| %s |", what);
    char *cell = strstr(table, row);
    if (!cell)
        fail_msg("FORMAT.md tells no version of %s", what);
    cell = strstr(cell + strlen(row), "| ");
    assert_non_null(cell);
    snprintf(is, sizeof is, "%.*s", (int)strcspn(cell + 2, "|") - 1, cell + 2);
    assert_string_equal(is, want);
    free(all);
}

/* The first number of an array. */
static unsigned first_of(slice bytes) {
    struct unpack u;
    unpack_init(&u, bytes);
    unpack_array(&u, 64);
    unsigned v = (unsigned)unpack_uint(&u);
    assert_int_equal(u.err, 0);
    return v;
}

/* The magic without the size of what follows. */
static unsigned lock_magic(const char *path) {
    size_t len;
    uint32_t magic;
    char *all = file_read(path, &len);
    memcpy(&magic, all + 4, sizeof magic);
    free(all);
    return magic ^ (unsigned)len << 16;
}

static char *dir;
static ecrdt_store *store;

static int setup(void **state) {
    (void)state;
    dir = tmpdir_make();
    store = assert_handle(ecrdt_open(path_join(dir, "s"), NULL));
    ecrdt_txn *t = assert_handle(ecrdt_write(store));
    assert_ok(ecrdt_reg_set(t, "b", slice_str("k"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    assert_ok(ecrdt_close(store));
    tmpdir_remove(dir);
    return 0;
}

static void on_the_disk(void **state) {
    (void)state;
    slice v, k = slice_str("H");
    struct db_cursor *c;
    ecrdt_txn *t = assert_handle(ecrdt_read(store));
    assert_code(1, db_get(t->db, DB_META, slice_str("m.format"), &v));
    expect_version("store", "%u", load32(v.data));
    assert_ok(db_cursor_open(t->db, DB_HEADS, &c));
    assert_code(1, db_cursor_seek(c, &k, &v));
    expect_version("bucket head", "%u", *(const uint8_t *)v.data);
    db_cursor_close(c);
    ecrdt_abort(t);
    expect_version("lock.ecrdt", "0x%x",
                   lock_magic(path_join(dir, "s/lock.ecrdt")));
}

static void records_of_peers(void **state) {
    (void)state;
    struct buf b = {0};
    struct peer_record peer = {0};
    struct relay_record self = {0};
    peers_record_encode(&b, &peer);
    expect_version("records of peers", "%u", first_of(buf_slice(&b)));
    buf_clear(&b);
    relay_record_encode(&b, &self);
    expect_version("records of peers", "%u", first_of(buf_slice(&b)));
    buf_free(&b);
}

static void between_stores(void **state) {
    enum { MAGIC = 8, LENGTH = 4 };
    struct buf x = {0}, all = {0}, part = {0};
    (void)state;
    assert_ok(ecrdt_export(store, slice_of(NULL, 0), 0, buf_sink, &x));
    assert_ok(ecrdt_summary(store, buf_sink, &all));
    assert_true(ecrdt_subscribe(store, "b", &(slice){"k", 1}, 1) >= 0);
    assert_ok(ecrdt_summary(store, buf_sink, &part));
    expect_version("summary, export", "`%.7s\\n` or `%.7s\\n`, `%.7s\\n`",
                   (char *)all.data, (char *)part.data, (char *)x.data);
    unsigned chunk =
        first_of(slice_of(x.data + MAGIC + LENGTH, load32(x.data + MAGIC)));
    expect_version("chunk, linked chunk", "%u, %d", chunk, CHUNK_LINKED);
    expect_version("link", "%d, %d", LINK_VERSION_MIN, LINK_VERSION_MAX);
    expect_version("messages", "%d", MESSAGE_VERSION);
    buf_free(&x);
    buf_free(&all);
    buf_free(&part);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(on_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(between_stores, setup, teardown),
        cmocka_unit_test(records_of_peers),
    };
    return TEST_RUN(tests);
}
