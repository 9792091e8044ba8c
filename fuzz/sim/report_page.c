/* report_page.c: puts style, code and data of a run into report.html. */
#include "fuzz/sim/report_page.h"
#include <stdlib.h>
#include <string.h>

/* The files beside this one, as bytes; made by the Makefile. */
static const char html[] = {
#include <fuzz/sim/report.html.bytes>
    0};
static const char css[] = {
#include <fuzz/sim/report.css.bytes>
    0};
static const char model_js[] = {
#include <fuzz/sim/report_model.js.bytes>
    0};
static const char draw_js[] = {
#include <fuzz/sim/report_draw.js.bytes>
    0};
static const char panels_js[] = {
#include <fuzz/sim/report_panels.js.bytes>
    0};
static const char view_js[] = {
#include <fuzz/sim/report_view.js.bytes>
    0};

static void put_style(const struct report *r, FILE *out) {
    (void)r;
    fputs(css, out);
}

static void put_code(const struct report *r, FILE *out) {
    (void)r;
    fputs(model_js, out);
    fputs(draw_js, out);
    fputs(panels_js, out);
    fputs(view_js, out);
}

/* Text as HTML; control bytes do not belong there. */
static void put_escaped(const char *s, FILE *out) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (strchr("<>&\"'", c))
            fprintf(out, "&#%d;", c);
        else
            fputc(c < 0x20 || c == 0x7f ? ' ' : c, out);
    }
}

static void put_title(const struct report *r, FILE *out) {
    fprintf(out, "%s: seed %llu: ",
            !r->ended ? "no verdict"
            : r->ok   ? "passed"
                      : "BROKEN",
            (unsigned long long)r->seed);
    put_escaped(r->command, out);
}

static void put_text(const char *name, const char *s, FILE *out) {
    json_t *text = json_string(s);
    char *json = text ? report_json(text) : NULL;
    fprintf(out, "\"%s\":%s,\n", name, json ? json : "\"\"");
    json_decref(text);
    free(json);
}

static void put_data(const struct report *r, FILE *out) {
    fprintf(out, "{\"seed\":\"%llu\",\"replicas\":%llu,\n",
            (unsigned long long)r->seed, (unsigned long long)r->replicas);
    put_text("command", r->command, out);
    put_text("profile", r->profile, out);
    fprintf(out, "\"names\":%s,\n\"rows\":%s}", r->names, r->rows);
}

static const struct {
    const char *mark;
    void (*put)(const struct report *r, FILE *out);
} places[] = {
    {"{{title}}", put_title},
    {"{{style}}", put_style},
    {"{{data}}", put_data},
    {"{{code}}", put_code},
};
enum { N_PLACES = sizeof places / sizeof *places };

bool report_write(const struct report *r, FILE *out) {
    for (const char *s = html; *s;) {
        size_t i = 0;
        while (i < N_PLACES &&
               strncmp(s, places[i].mark, strlen(places[i].mark)) != 0)
            i++;
        if (i < N_PLACES) {
            places[i].put(r, out);
            s += strlen(places[i].mark);
        } else
            fputc(*s++, out);
    }
    return !ferror(out);
}
