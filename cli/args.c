/* args.c: the command line: options before or after the operands, binary
 * operands as hex digits, and "-" for standard input. */
#include "cli/cli.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* Every option there is; the letters are the ones of verb.options. */
static const struct option options[] = {
    {"store", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"hex", no_argument, NULL, 'x'},
    {"raw", no_argument, NULL, 'r'},
    {"long", no_argument, NULL, 'l'},
    {"type", required_argument, NULL, 't'},
    {"full", no_argument, NULL, 'F'},
    {"relaxed", no_argument, NULL, 'R'},
    {"ephemeral", no_argument, NULL, 'E'},
    {"max-bytes", required_argument, NULL, 'm'},
    {"summary", required_argument, NULL, 'U'},
    {"since", required_argument, NULL, 'U'},
    {"out", required_argument, NULL, 'o'},
    {"msgpack", no_argument, NULL, 'p'},
    {"limits", no_argument, NULL, 'L'},
    {"others", no_argument, NULL, 'O'},
    {"key", required_argument, NULL, 'k'},
    {"timeout", required_argument, NULL, 'T'},
    {"realm", required_argument, NULL, 'e'},
    {"name", required_argument, NULL, 'n'},
    {"receipt", no_argument, NULL, 'q'},
    {"here", no_argument, NULL, 'H'},
    {"core", no_argument, NULL, 'C'},
    {"peers", required_argument, NULL, 'P'},
    {"against", required_argument, NULL, 'A'},
    {"retention", required_argument, NULL, 'D'},
    {"budget", required_argument, NULL, 'B'},
    {"claim", no_argument, NULL, 'c'},
    {"all", no_argument, NULL, 'a'},
    {NULL, 0, NULL, 0},
};

/* These every verb takes. */
#define COMMON "sjhV"

/* An exit code as args_parse() returns it. */
static int stop(int exit_code) {
    return exit_code + 1;
}

bool args_int64(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    const char *first = text + (*text == '-' || *text == '+');
    if (errno || *end || *first < '0' || *first > '9')
        return false;
    *out = v;
    return true;
}

bool args_size(const char *text, uint64_t *out) {
    static const char units[] = "KMGT";
    char digits[24];
    size_t n = strlen(text);
    int last = n > 1 ? toupper((unsigned char)text[n - 1]) : 0;
    const char *unit = last ? strchr(units, last) : NULL;
    int64_t v;
    n -= unit != NULL;
    if (n >= sizeof digits)
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (!args_int64(digits, &v) || v <= 0 || v > INT64_MAX >> shift)
        return false;
    *out = (uint64_t)v << shift;
    return true;
}

bool args_duration(const char *text, uint64_t *ms) {
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || n > INT64_MAX / 86400000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].name)) {
            *ms = n * units[i].ms;
            return true;
        }
    *ms = 0;
    return !strcmp(text, "0");
}

static bool parse_types(const char *text, unsigned *types) {
    static const struct {
        const char *name;
        unsigned type;
    } names[] = {{"register", ECRDT_REG},
                 {"set", ECRDT_SET},
                 {"counter", ECRDT_COUNTER}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i].name)) {
            *types |= names[i].type;
            return true;
        }
    return false;
}

/* Seconds, with decimals, as milliseconds. */
static bool parse_seconds(const char *text, int *ms) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v > 0) || v > INT_MAX / 1000)
        return false;
    *ms = v < 0.001 ? 1 : (int)(v * 1000);
    return true;
}

/* At how many peers: ecrdt_wait()'s number. */
static bool parse_peers(const char *text, int *where) {
    int64_t v;
    if (!args_int64(text, &v) || v < 1 || v > INT_MAX)
        return false;
    *where = (int)v;
    return true;
}

static int bad_value(const char *option, const char *text, const char *want) {
    return stop(
        out_error(EXIT_USAGE, "%s wants %s, not \"%s\"", option, want, text));
}

/* Options that carry a value with a form of its own. */
static int take_value(struct cli *c, int letter, const char *text) {
    if (letter == 'm' && !args_size(text, &c->max_bytes))
        return bad_value("--max-bytes", text, "a size such as 500M or 8G");
    if (letter == 't' && !parse_types(text, &c->types))
        return bad_value("--type", text, "register, set or counter");
    c->has_retention = c->has_retention || letter == 'D';
    if (letter == 'D' && !args_duration(text, &c->retention_ms))
        return bad_value("--retention", text, "a time such as 30d or 90s");
    if (letter == 'B' &&
        (!args_duration(text, &c->budget_ms) || c->budget_ms > UINT32_MAX))
        return bad_value("--budget", text, "a time such as 500ms or 10s");
    if (letter == 'T' && !parse_seconds(text, &c->timeout_ms))
        return bad_value("--timeout", text, "seconds, such as 5 or 0.5");
    if (letter == 'P' && !parse_peers(text, &c->where))
        return bad_value("--peers", text, "a number of peers");
    return 0;
}

static int take_durability(struct cli *c, uint32_t flag) {
    if (c->durability && c->durability != flag)
        return stop(out_error(EXIT_USAGE, "choose one of --full, --relaxed "
                                          "and --ephemeral"));
    c->durability = flag;
    return 0;
}

/* Notes one option in c. */
static int take_option(struct cli *c, int letter) {
    bool *const flag = letter == 'j'   ? &c->json
                       : letter == 'x' ? &c->hex
                       : letter == 'r' ? &c->raw
                       : letter == 'l' ? &c->detail
                       : letter == 'p' ? &c->msgpack
                       : letter == 'L' ? &c->limits
                       : letter == 'q' ? &c->receipt
                       : letter == 'c' ? &c->claim
                       : letter == 'a' ? &c->all
                       : letter == 'O' ? &c->others
                                       : NULL;
    const char **const word = letter == 's'   ? &c->store
                              : letter == 'U' ? &c->summary
                              : letter == 'o' ? &c->out
                              : letter == 'k' ? &c->key
                              : letter == 'e' ? &c->realm
                              : letter == 'n' ? &c->name
                              : letter == 'A' ? &c->against
                                              : NULL;
    if (flag)
        *flag = true;
    else if (word)
        *word = optarg;
    else if (letter == 'H' || letter == 'C')
        c->where = letter == 'H' ? ECRDT_HERE : ECRDT_AT_CORE;
    else if (strchr("FRE", letter))
        return take_durability(c, letter == 'F'   ? ECRDT_FULL
                                  : letter == 'R' ? ECRDT_RELAXED
                                                  : ECRDT_EPHEMERAL);
    return take_value(c, letter, optarg);
}

static const char *option_name(int letter) {
    for (const struct option *o = options; o->name; o++)
        if (o->val == letter)
            return o->name;
    return "?";
}

static int help_and_stop(const struct cli *c) {
    return stop(help_print(c->verb ? c->verb->name : NULL));
}

/* The next option, -1 where an operand or the end comes. Behind a "--" that
 * stood before other options getopt goes back to it at the end: we do not. */
static int next_option(int argc, char **argv) {
    int at = optind, letter = getopt_long(argc, argv, "+:s:h", options, NULL);
    if (optind < at)
        optind = at;
    return letter;
}

/* Takes options up to the first operand. */
static int parse_options(struct cli *c, int argc, char **argv) {
    int letter, rc = 0;
    while (!rc && (letter = next_option(argc, argv)) != -1) {
        const char *verb = c->verb ? c->verb->name : NULL;
        if (letter == '?' || letter == ':')
            return stop(out_error(
                EXIT_USAGE, "%s %s; see 'edgecrdt help%s%s'", argv[optind - 1],
                letter == ':' ? "wants a value" : "is not a known option",
                verb ? " " : "", verb ? verb : ""));
        if (letter == 'h')
            return help_and_stop(c);
        if (letter == 'V') {
            printf("edgecrdt %s\n", ecrdt_version());
            return stop(out_flush());
        }
        if (!strchr(COMMON, letter) &&
            !(c->verb && strchr(c->verb->options, letter)))
            return stop(out_error(EXIT_USAGE,
                                  "--%s is not an option of %s; see "
                                  "'edgecrdt help%s%s'",
                                  option_name(letter),
                                  verb ? verb
                                       : "the program: it follows a "
                                         "verb",
                                  verb ? " " : "", verb ? verb : ""));
        rc = take_option(c, letter);
    }
    return rc;
}

/* How many operands the verb must and may have. */
static void count_operands(const struct verb *v, int *min, int *max) {
    *min = *max = 0;
    bool optional = false;
    for (const char *p = v->operands; *p; p++) {
        if (*p == '|')
            optional = true;
        else if (*p == '+')
            *max = INT_MAX;
        else
            ++*max, *min += !optional;
    }
}

static int bad_count(const struct cli *c, const char *extra) {
    const struct verb *v = c->verb;
    const char *store = v->use == USE_NONE ? "" : " -s DIR";
    if (extra)
        return stop(out_error(EXIT_USAGE,
                              "%s: \"%s\" is one operand too many; usage: "
                              "edgecrdt%s %s %s",
                              v->name, extra, store, v->name, v->usage));
    return stop(out_error(EXIT_USAGE,
                          "%s: an operand is missing; usage: edgecrdt%s %s %s",
                          v->name, store, v->name, v->usage));
}

/* Takes the operands, and options wherever no operand must stand: a value
 * that begins with - needs no quoting, and --json may come last. */
static int parse_operands(struct cli *c, int argc, char **argv) {
    int min, max, rc = parse_options(c, argc, argv);
    bool literal = optind > 1 && !strcmp(argv[optind - 1], "--");
    count_operands(c->verb, &min, &max);
    while (!rc && optind < argc) {
        char *arg = argv[optind];
        if (c->n >= min && !literal && !strncmp(arg, "--", 2)) {
            rc = parse_options(c, argc, argv);
            literal = !strcmp(argv[optind - 1], "--");
        } else if (c->n >= max) {
            return bad_count(c, arg);
        } else {
            c->word[c->n++] = arg;
            optind++;
        }
    }
    return rc ? rc : c->n < min ? bad_count(c, NULL) : 0;
}

int args_read_all(int fd, const char *what, size_t max, char **data,
                  size_t *len) {
    size_t cap = 0;
    ssize_t got = 1;
    *data = NULL;
    *len = 0;
    while (got > 0 && *len < max) {
        if (*len == cap) {
            size_t more = cap ? cap * 2 : 65536;
            char *p = realloc(*data, more);
            if (!p)
                return out_error(EXIT_OS, "no memory for %s", what);
            *data = p;
            cap = more;
        }
        got = read(fd, *data + *len, cap - *len);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            return out_error(EXIT_IO, "cannot read %s: %s", what,
                             strerror(errno));
        else
            *len += (size_t)got;
    }
    return 0;
}

static int digit(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Decodes hex digits in place. */
static bool unhex(char *text, slice *out) {
    size_t n = strlen(text);
    if (n % 2 || strspn(text, "0123456789abcdefABCDEF") != n)
        return false;
    for (size_t i = 0; i < n; i += 2)
        text[i / 2] = (char)(digit(text[i]) << 4 | digit(text[i + 1]));
    *out = slice_of(text, n / 2);
    return true;
}

static int decode_one(struct cli *c, int i) {
    char *text = c->word[i];
    if (!strcmp(text, "-") && i == c->n - 1 && i > 1) {
        size_t len;
        int rc = args_read_all(STDIN_FILENO, "standard input",
                               ECRDT_MAX_VALUE + 1, &c->input, &len);
        c->bytes[i] = slice_of(c->input, len);
        return rc ? stop(rc) : 0;
    }
    c->bytes[i] = ecrdt_str(text);
    if (c->hex && !unhex(text, &c->bytes[i]))
        return stop(out_error(EXIT_USAGE,
                              "--hex wants an even number of hex digits for "
                              "each key, value and element, not \"%s\"",
                              text));
    return 0;
}

/* Turns the operands that are data into bytes. */
static int decode_operands(struct cli *c) {
    const char *p = c->verb->operands;
    int rc = 0;
    for (int i = 0; i < c->n && !rc; i++) {
        p += *p == '|';
        if (*p == 'd')
            rc = decode_one(c, i);
        if (p[1] != '+')
            p++;
    }
    return rc;
}

int args_parse(struct cli *c, int argc, char **argv) {
    int rc = parse_options(c, argc, argv);
    if (rc || optind >= argc)
        return rc;
    const char *name = argv[optind++];
    c->verb = verb_find(name);
    if (!c->verb)
        return stop(out_error(EXIT_USAGE,
                              "there is no verb \"%s\"; 'edgecrdt help' "
                              "lists them",
                              name));
    c->word = calloc((size_t)argc, sizeof *c->word);
    c->bytes = calloc((size_t)argc, sizeof *c->bytes);
    if (!c->word || !c->bytes)
        return stop(out_error(EXIT_OS, "out of memory"));
    rc = parse_operands(c, argc, argv);
    return rc ? rc : decode_operands(c);
}
