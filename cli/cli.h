/* cli.h: what the files of the command line share: the parsed call, the table
 * of verbs, output rows and exit codes. */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "lib/bytes.h"
#include <jansson.h>
#include <stdio.h>

/* Exit codes: grep's for yes and no, sysexits' for errors. */
enum {
    EXIT_YES = 0,        /* done, or yes */
    EXIT_NO = 1,         /* absent, no, or not all of it */
    EXIT_USAGE = 64,     /* the call is wrong */
    EXIT_DATA = 65,      /* too big, out of range, or damaged */
    EXIT_NOINPUT = 66,   /* no such store or file */
    EXIT_SOFTWARE = 70,  /* not expected */
    EXIT_OS = 71,        /* out of memory and the like */
    EXIT_CANTCREAT = 73, /* a file cannot be made, or exists */
    EXIT_IO = 74,        /* input/output error, or full */
    EXIT_TEMPFAIL = 75,  /* busy or too late: try again */
    EXIT_PROTOCOL = 76,  /* peer or version does not fit */
    EXIT_NOPERM = 77     /* read-only, or key refused */
};

struct verb;

/* One call of the program. */
struct cli {
    const struct verb *verb;
    const char *store; /* -s or EDGECRDT_STORE */
    bool json, hex, raw, detail, limits, msgpack, claim, all, others;
    uint32_t durability; /* flag of enum ecrdt_flags, 0 = not given */
    unsigned types;      /* of keys; 0 = not given */
    uint64_t max_bytes;
    bool has_retention;
    uint64_t retention_ms, budget_ms;
    int timeout_ms;
    bool receipt;          /* of a write, wanted */
    char receipt_text[97]; /* ... and what was taken */
    int where;             /* of ecrdt_wait() */
    const char *summary, *out, *key, *realm, *name, *against;
    int n;          /* operands */
    char **word;    /* operands as they came */
    slice *bytes;   /* operands that are data, decoded */
    char *input;    /* what "-" read; freed at the end */
    ecrdt_store *s; /* open while a verb that needs it runs */
    json_t *row;    /* of the line that is being written */
    bool row_begun; /* something of a human line is written */
};

/* How a verb wants the store of -s: not at all, to be made, open; for
 * USE_CHECK as for USE_READ, but the whole file is looked at first. */
enum store_use { USE_NONE, USE_NEW, USE_READ, USE_CHECK, USE_WRITE };

/* A row of the table. operands: a letter for each one: w = word, d = data
 * (--hex and "-" apply); what follows '|' is optional, a final '+' repeats
 * the last one. options: the letters of args.c that it takes. */
struct verb {
    const char *name, *operands, *options;
    enum store_use use;
    int (*run)(struct cli *c);
    const char *usage;   /* what follows the name */
    const char *summary; /* one line */
    const char *help;    /* the rest of "help VERB" */
};

/* The table, in the order of help, ended by a NULL name. */
extern const struct verb verbs[];

/* The verb of that name, or NULL. */
const struct verb *verb_find(const char *name);

/* ---- args.c ---- */

/* Fills c from the command line, the verb included (NULL: none given).
 * 0 = go on; else an exit code + 1: the program ends now. */
int args_parse(struct cli *c, int argc, char **argv);

/* Parses a whole decimal number; false if it is not one or out of range. */
bool args_int64(const char *text, int64_t *out);

/* Parses a size with an optional K, M, G or T (powers of 1,024), and a time
 * with ms, s, m, h or d; false if it is none. */
bool args_size(const char *text, uint64_t *out);
bool args_duration(const char *text, uint64_t *ms);

/* Reads up to max bytes of fd to a new buffer, *data, for free(). 0, or an
 * exit code after a message; what names fd in it. */
int args_read_all(int fd, const char *what, size_t max, char **data,
                  size_t *len);

/* ---- help.c ---- */

/* Prints the list of verbs, or the page of the named verb. Returns the exit
 * code. */
int help_print(const char *name);

/* ---- out.c ---- */

/* Prints "edgecrdt: " and the sentence to stderr; returns the exit code. */
int out_error(int exit_code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same with the library's last sentence and the exit code of rc. */
int out_failed(int rc);

/* Exit code of a result: 0 for > 0, EXIT_NO for 0, out_failed() below. */
int out_found(int rc);

/* One line of output: fields, then out_end(). As JSON it is one object; for
 * people the fields are separated by tabs and what is not printable is shown
 * as \xHH. Names starting with '-' are left out for people. */
void out_bytes(struct cli *c, const char *name, slice value);
/* n of them: columns for people, one array in JSON. */
void out_list(struct cli *c, const char *name, const slice *list, size_t n);
void out_text(struct cli *c, const char *name, const char *value);
void out_int(struct cli *c, const char *name, int64_t value);
void out_uint(struct cli *c, const char *name, uint64_t value);
void out_bool(struct cli *c, const char *name, bool value);
/* Writer and time: "by", "at", and in JSON "wall_ms" and "logical". */
void out_stamp(struct cli *c, const ecrdt_stamp *who);
void out_end(struct cli *c);

/* One line "label value" of a list for people; a field of the same row in
 * JSON, whose line the caller ends with out_end(). */
void out_item_uint(struct cli *c, const char *name, const char *label,
                   uint64_t value);
void out_item_text(struct cli *c, const char *name, const char *label,
                   const char *value);

/* The same: bytes, and a time in ms, with their units for people. */
void out_item_size(struct cli *c, const char *name, const char *label,
                   uint64_t bytes);
void out_item_duration(struct cli *c, const char *name, const char *label,
                       uint64_t ms);

/* The bytes as text for people, escaped, to stdout. */
void out_escaped(slice value);

/* "30d", "90s", "1500ms": the largest unit that tells it exactly. */
void out_duration(char to[32], uint64_t ms);

/* n bytes as hex digits; to holds 2n + 1. */
void out_hex(char *to, const uint8_t *from, size_t n);

/* "2025-11-21T09:00:00.123Z"; "-" for 0. */
void out_time(char to[32], uint64_t wall_ms);

/* "1.5 MiB". */
void out_size(char to[32], uint64_t bytes);

/* An ecrdt_sink to the FILE *ctx. */
int out_sink(void *ctx, const void *data, size_t len);

/* Where binary output goes: --out FILE (new, mode 0666 and umask) or stdout
 * unless that is a terminal. NULL after a message; *exit_code is set. */
FILE *out_binary(struct cli *c, int *exit_code);

/* Ends what out_binary() gave; 0 or an exit code after a message. */
int out_binary_end(struct cli *c, FILE *f);

/* Flushes stdout; 0 or an exit code after a message. */
int out_flush(void);
#endif
