/* support.c: helpers of the tests. */
#include "lib/buf.h"
#include "tests/support/test.h"
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void die(const char *what, const char *on) {
    fprintf(stderr, "test support: %s %s: %s\n", what, on, strerror(errno));
    exit(99);
}

#ifdef __SANITIZE_THREAD__
/* A fork() in a write transaction takes the gate that opens hold, and an open
 * takes a writer lock: but it waits for that for a time only. */
__attribute__((visibility("default"))) const char *
__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
    return "deadlock:gate_take\n";
}
#endif

/* ---- scratch folders ---- */

char *tmpdir_make(void) {
    const char *base = getenv("TEST_TMPDIR");
    if (!base || !*base)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char *path = NULL;
    if (asprintf(&path, "%s/ecrdt-test-XXXXXX", base) < 0 || !mkdtemp(path))
        die("cannot make a folder in", base);
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void tmpdir_remove(char *path) {
    if (path && nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        die("cannot remove", path);
    free(path);
}

const char *path_join(const char *dir, const char *name) {
    static char ring[8][512];
    static unsigned at;
    char *p = ring[at++ % 8];
    int n = snprintf(p, sizeof ring[0], "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof ring[0])
        die("too long a path:", dir);
    return p;
}

/* ---- random numbers ---- */

struct rng rng_seed(void) {
    struct rng r = {0};
    const char *given = getenv("TEST_SEED");
    if (given)
        r.s = strtoull(given, NULL, 0);
    else if (getrandom(&r.s, sizeof r.s, 0) != sizeof r.s)
        die("cannot get", "a random seed");
    r.s |= 1;
    printf("# TEST_SEED=0x%llx\n", (unsigned long long)r.s);
    return r;
}

uint64_t rng_u64(struct rng *r) {
    r->s ^= r->s >> 12;
    r->s ^= r->s << 25;
    r->s ^= r->s >> 27;
    return r->s * 0x2545f4914f6cdd1d;
}

uint64_t rng_below(struct rng *r, uint64_t bound) {
    return rng_u64(r) % bound;
}

void rng_bytes(struct rng *r, void *out, size_t n) {
    uint8_t *p = out;
    while (n--)
        *p++ = (uint8_t)(rng_u64(r) >> 32);
}

uint64_t rng_magnitude(struct rng *r) {
    return rng_u64(r) >> rng_below(r, 64);
}

/* ---- allocator ---- */

static long live;
static unsigned long fail_in;
static bool hit;

static void *fault_resize(void *p, size_t n, void *ctx) {
    (void)ctx;
    if (!n) {
        __atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
        free(p);
        return NULL;
    }
    if (fail_in && --fail_in == 0) {
        hit = true;
        return NULL;
    }
    void *q = realloc(p, n);
    if (q && !p)
        __atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
    return q;
}

void fault_alloc_install(void) {
    assert_ok(ecrdt_set_allocator(fault_resize, NULL));
}

void fault_alloc_at(unsigned long n) {
    fail_in = n;
    hit = false;
}

bool fault_alloc_hit(void) {
    return hit;
}

long fault_alloc_live(void) {
    return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

/* ---- bytes ---- */

slice slice_str(const char *s) {
    return slice_of(s, strlen(s));
}

int buf_sink(void *buf, const void *data, size_t len) {
    buf_put(buf, data, len);
    return 0;
}

char *file_read(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (!f)
        die("cannot open", path);
    char *data = NULL;
    size_t n = 0, got;
    do {
        data = realloc(data, n + 65537);
        if (!data)
            die("no memory for", path);
        got = fread(data + n, 1, 65536, f);
        n += got;
    } while (got);
    if (ferror(f))
        die("cannot read", path);
    fclose(f);
    data[n] = 0;
    if (len)
        *len = n;
    return data;
}

void file_write(const char *path, const void *data, size_t len) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0)
        die("cannot write", path);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

size_t hex_decode(uint8_t *out, size_t max, const char *hex) {
    size_t n = 0;
    for (const char *p = hex; *p; p++) {
        if (*p == '-' || *p == ' ' || *p == '\n')
            continue;
        int hi = hex_digit(p[0]), lo = hi < 0 ? -1 : hex_digit(p[1]);
        if (lo < 0 || n == max)
            die("bad hex", hex);
        out[n++] = (uint8_t)(hi << 4 | lo);
        p++;
    }
    return n;
}

uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool aborts(void (*fn)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        die("cannot", "fork");
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(98);
        fn();
        _exit(0);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid)
        die("cannot wait for", "a child");
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* ---- behind the macros of test.h ---- */

void test_check_code(int got, int want, const char *call, const char *file,
                     int line) {
    if (got == want)
        return;
    print_error("%s returned %d, not %d; last error: %s (%s)\n", call, got,
                want, ecrdt_strerror(ecrdt_errcode()), ecrdt_errmsg());
    _fail(file, line);
}

void *test_check_handle(void *handle, const char *call, const char *file,
                        int line) {
    if (handle)
        return handle;
    print_error("%s returned NULL; last error: %s (%s)\n", call,
                ecrdt_strerror(ecrdt_errcode()), ecrdt_errmsg());
    _fail(file, line);
    return NULL;
}

void test_check_slice(slice a, slice b, const char *file, int line) {
    if (slice_eq(a, b))
        return;
    print_error("slices differ: %zu bytes \"%.*s\", %zu bytes \"%.*s\"\n",
                a.len, (int)(a.len < 80 ? a.len : 80), (const char *)a.data,
                b.len, (int)(b.len < 80 ? b.len : 80), (const char *)b.data);
    _fail(file, line);
}
