/* run.h: runs the command line as a process and looks at what it said. */
#ifndef TESTS_CLI_RUN_H
#define TESTS_CLI_RUN_H
#include "tests/support/test.h"
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The scratch folder of the test and the store in it. */
static char *folder, *store;

/* Exit code of the last run(), its outputs, NUL-terminated. */
static int code;
static char *out, *err;
static size_t out_len;

static inline int run_setup(void **state) {
    (void)state;
    unsetenv("EDGECRDT_STORE");
    unsetenv("EDGECRDT_KEY");
    folder = tmpdir_make();
    store = strdup(path_join(folder, "store"));
    return 0;
}

static inline int run_teardown(void **state) {
    (void)state;
    tmpdir_remove(folder);
    free(store);
    free(out);
    free(err);
    return 0;
}

/* Runs a shell command in which @ stands for the program, and % for the
 * program with -s and the test's store; @@ and %% stand for themselves. */
static inline void sh(const char *command) {
    char text[8192];
    size_t n = 0;
    static char program[4096];
    const char *build = getenv("BUILD");
    char top[2048];
    assert_non_null(getcwd(top, sizeof top));
    snprintf(program, sizeof program, "%s%s%s/edgecrdt",
             build && *build == '/' ? "" : top,
             build && *build == '/' ? "" : "/", build ? build : "build");
    for (const char *p = command; *p; p++) {
        if ((*p == '%' || *p == '@') && p[1] == *p)
            text[n++] = *p++;
        else if (*p == '%')
            n += (size_t)snprintf(text + n, sizeof text - n, "%s -s %s",
                                  program, store);
        else if (*p == '@')
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", program);
        else
            text[n++] = *p;
        assert_true(n < sizeof text - 1);
    }
    text[n] = '\0';
    char script[9500];
    snprintf(script, sizeof script, "cd %s && { %s ; } >out 2>err </dev/null",
             folder, text);
    free(out);
    free(err);
    int status = system(script);
    assert_true(WIFEXITED(status));
    code = WEXITSTATUS(status);
    out = file_read(path_join(folder, "out"), &out_len);
    err = file_read(path_join(folder, "err"), &(size_t){0});
}

/* Runs it; the exit code and all of the output must be these. */
#define expect(want_code, want_out, command)                                   \
    do {                                                                       \
        sh(command);                                                           \
        if (code != (want_code) || strcmp(out, want_out))                      \
            print_error("%s: exit %d, said \"%s\" and \"%s\"\n", command,      \
                        code, out, err);                                       \
        assert_int_equal(code, want_code);                                     \
        assert_string_equal(out, want_out);                                    \
    } while (0)

/* The same for a failure: nothing on stdout, one sentence with hint in it. */
#define expect_error(want_code, hint, command)                                 \
    do {                                                                       \
        expect(want_code, "", command);                                        \
        if (strncmp(err, "edgecrdt: ", 10) || !strstr(err, hint))              \
            print_error("%s: said \"%s\"\n", command, err);                    \
        assert_memory_equal(err, "edgecrdt: ", 10);                            \
        assert_non_null(strstr(err, hint));                                    \
    } while (0)

/* The n-th line of the output as JSON; the caller drops it. */
static inline json_t *json_line(int n) {
    const char *p = out;
    while (n-- > 0 && (p = strchr(p, '\n')))
        p++;
    assert_non_null(p);
    json_error_t e;
    json_t *j = json_loadb(p, strcspn(p, "\n"), 0, &e);
    if (!j)
        print_error("not JSON: %s (%s)\n", p, e.text);
    assert_non_null(j);
    assert_true(json_is_object(j));
    return j;
}

/* Lines of the output, each one a JSON object. */
static inline int json_lines(void) {
    int n = 0;
    for (const char *p = out; *p; p++)
        n += *p == '\n';
    for (int i = 0; i < n; i++)
        json_decref(json_line(i));
    return n;
}

/* Field of line n as text; valid until the next call. */
static inline const char *json_text(int n, const char *field) {
    static char text[4096];
    json_t *j = json_line(n);
    const json_t *v = json_object_get(j, field);
    assert_non_null(v);
    assert_true(json_is_string(v));
    snprintf(text, sizeof text, "%s", json_string_value(v));
    json_decref(j);
    return text;
}

/* Field of line n as a number. */
static inline long long json_number(int n, const char *field) {
    json_t *j = json_line(n);
    const json_t *v = json_object_get(j, field);
    assert_non_null(v);
    assert_true(json_is_integer(v) || json_is_boolean(v));
    long long r = json_is_integer(v) ? json_integer_value(v) : json_is_true(v);
    json_decref(j);
    return r;
}
#endif
