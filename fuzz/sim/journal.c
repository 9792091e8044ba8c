/* journal.c: writes what happened in a run as JSON lines. */
#include "fuzz/sim/journal.h"
#include "lib/err.h"
#include <errno.h>

/* A string with its quotes. */
static void put_text(FILE *f, const char *s) {
    fputc('"', f);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

static void put_hex(FILE *f, const uint8_t b[16]) {
    fputc('"', f);
    for (int i = 0; i < 16; i++)
        fprintf(f, "%02x", b[i]);
    fputc('"', f);
}

static void put_set(FILE *f, uint32_t set) {
    const char *comma = "";
    fputc('[', f);
    for (unsigned i = 0; i < 32; i++)
        if (set >> i & 1) {
            fprintf(f, "%s%u", comma, i);
            comma = ",";
        }
    fputc(']', f);
}

static bool begin(struct journal *j, const char *kind) {
    if (!j->f)
        return false;
    fprintf(j->f, "{\"k\":\"%s\",\"t\":%llu", kind,
            (unsigned long long)j->now_ms);
    return true;
}

int journal_open(struct journal *j, const char *path, uint64_t seed,
                 const char *command, unsigned replicas, const char *profile) {
    *j = (struct journal){.next_id = 1};
    if (!path)
        return ECRDT_OK;
    j->f = fopen(path, "w");
    if (!j->f)
        return err_errno(errno, "cannot write the journal", path);
    fprintf(j->f, "{\"k\":\"run\",\"journal\":1,\"seed\":%llu,\"command\":",
            (unsigned long long)seed);
    put_text(j->f, command);
    fprintf(j->f, ",\"replicas\":%u,\"profile\":", replicas);
    put_text(j->f, profile);
    fputs("}\n", j->f);
    return ECRDT_OK;
}

int journal_close(struct journal *j) {
    FILE *f = j->f;
    j->f = NULL;
    if (!f)
        return ECRDT_OK;
    bool bad = ferror(f);
    if (fclose(f) || bad)
        return err_set(ECRDT_EIO, "the journal could not be written to its "
                                  "end: is the disk full?");
    return ECRDT_OK;
}

void journal_step(struct journal *j, unsigned n, int r, const char *what,
                  const char *text) {
    if (!begin(j, "step"))
        return;
    fprintf(j->f, ",\"n\":%u,\"r\":%d,\"what\":", n, r);
    put_text(j->f, what);
    fputs(",\"text\":", j->f);
    put_text(j->f, text);
    fputs("}\n", j->f);
}

uint64_t journal_msg(struct journal *j, unsigned from, unsigned to,
                     const char *m, size_t bytes) {
    uint64_t id = j->next_id++;
    if (begin(j, "msg"))
        fprintf(j->f,
                ",\"id\":%llu,\"from\":%u,\"to\":%u,\"m\":\"%s\","
                "\"bytes\":%zu}\n",
                (unsigned long long)id, from, to, m, bytes);
    return id;
}

void journal_recv(struct journal *j, uint64_t id) {
    if (begin(j, "recv"))
        fprintf(j->f, ",\"id\":%llu}\n", (unsigned long long)id);
}

uint64_t journal_fault(struct journal *j, const char *what, uint32_t a,
                       uint32_t b, int64_t ms) {
    uint64_t id = j->next_id++;
    if (!begin(j, "fault"))
        return id;
    fprintf(j->f, ",\"id\":%llu,\"what\":\"%s\",\"a\":", (unsigned long long)id,
            what);
    put_set(j->f, a);
    if (b) {
        fputs(",\"b\":", j->f);
        put_set(j->f, b);
    }
    if (ms)
        fprintf(j->f, ",\"ms\":%lld", (long long)ms);
    fputs("}\n", j->f);
    return id;
}

void journal_end(struct journal *j, uint64_t id) {
    if (id && begin(j, "end"))
        fprintf(j->f, ",\"id\":%llu}\n", (unsigned long long)id);
}

void journal_state(struct journal *j, unsigned r, const uint8_t digest[16],
                   unsigned missing, unsigned events) {
    if (!begin(j, "state"))
        return;
    fprintf(j->f, ",\"r\":%u,\"digest\":", r);
    put_hex(j->f, digest);
    fprintf(j->f, ",\"missing\":%u,\"events\":%u}\n", missing, events);
}

void journal_verdict(struct journal *j, bool ok, const char *text,
                     const uint8_t hash[16]) {
    if (!begin(j, "verdict"))
        return;
    fprintf(j->f, ",\"ok\":%s,\"text\":", ok ? "true" : "false");
    put_text(j->f, text);
    fputs(",\"hash\":", j->f);
    put_hex(j->f, hash);
    fputs("}\n", j->f);
}
