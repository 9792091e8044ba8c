/* plot.c: draws the rows of a run as an SVG bar chart: medians as bars, the
 * spread as a thin line, what must be reached as a mark. */
#include "bench/bench.h"
#include <jansson.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    WIDTH = 920,
    LEFT = 330,  /* where bars begin */
    SPAN = 430,  /* their greatest length */
    RIGHT = 900, /* where figures end */
    ROW = 24,
    HEADING = 46,
    TOP = 96,
    BOTTOM = 26,
    MAX_ROWS = 256
};

static const char met[] = "#2f9e6e", missed[] = "#e08e2b", plain[] = "#7d93b2",
                  ink[] = "#22303f", faint[] = "#8a97a6";

struct bar_row {
    const char *group, *name, *result;
    double median, min, max, limit;
    bool at_least, at_most;
};

struct chart {
    struct bar_row row[MAX_ROWS];
    json_t *line[MAX_ROWS];
    int n;
};

static void read_row(struct chart *c, json_t *line) {
    struct bar_row *r = &c->row[c->n];
    const char *bar = "";
    if (!json_is_object(line) ||
        json_unpack(line, "{s:s,s:s,s:s,s:F,s:F,s:F,s:F,s:s}", "group",
                    &r->group, "row", &r->name, "bar", &bar, "limit", &r->limit,
                    "median", &r->median, "min", &r->min, "max", &r->max,
                    "result", &r->result) != 0) {
        json_decref(line);
        return;
    }
    r->at_least = !strcmp(bar, ">=");
    r->at_most = !strcmp(bar, "<=");
    c->line[c->n++] = line;
}

/* Reads the JSON lines; false if there is not one row. */
static bool read_rows(FILE *f, struct chart *c) {
    char text[1024];
    while (c->n < MAX_ROWS && fgets(text, sizeof text, f))
        read_row(c, json_loads(text, 0, NULL));
    return c->n > 0;
}

/* Text with the characters that XML reserves escaped. */
static void put_text(FILE *f, const char *s) {
    for (; *s; s++) {
        const char *e = *s == '<'   ? "&lt;"
                        : *s == '>' ? "&gt;"
                        : *s == '&' ? "&amp;"
                                    : NULL;
        if (e)
            fputs(e, f);
        else
            fputc(*s, f);
    }
}

static void label(FILE *f, double x, double y, const char *style,
                  const char *fill, const char *text) {
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" %s fill=\"%s\">", x, y, style,
            fill);
    put_text(f, text);
    fputs("</text>\n", f);
}

static void line(FILE *f, double x1, double y1, double x2, double y2,
                 const char *stroke, const char *more) {
    fprintf(f,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
            "stroke=\"%s\" %s/>\n",
            x1, y1, x2, y2, stroke, more);
}

/* First row past the group that begins at i. */
static int group_end(const struct chart *c, int i) {
    int k = i;
    while (k < c->n && !strcmp(c->row[k].group, c->row[i].group))
        k++;
    return k;
}

/* The value that fills the whole span in rows i to end: past every median
 * and bar; a rare wild maximum is cut off. */
static double full_scale(const struct chart *c, int i, int end) {
    double top = 1.1;
    for (; i < end; i++) {
        const struct bar_row *r = &c->row[i];
        top = r->median * 1.1 > top ? r->median * 1.1 : top;
        top = r->limit * 1.1 > top ? r->limit * 1.1 : top;
    }
    return top;
}

static double place(double v, double scale) {
    double x = v / scale * SPAN;
    return LEFT + (x > SPAN ? SPAN : x);
}

static void draw_row(FILE *f, const struct bar_row *r, double y, double scale) {
    const char *fill = !*r->result                  ? plain
                       : !strcmp(r->result, "PASS") ? met
                                                    : missed;
    double mid = y + ROW / 2.0, end = place(r->median, scale);
    char text[48];
    label(f, LEFT - 12, mid + 4, "text-anchor=\"end\" font-size=\"13\"", ink,
          r->name);
    fprintf(f,
            "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"14\" rx=\"3\" "
            "fill=\"%s\"/>\n",
            LEFT, mid - 7, end - LEFT, fill);
    if (r->max > r->min)
        line(f, place(r->min, scale), mid, place(r->max, scale), mid, ink,
             "stroke-width=\"1.5\" stroke-opacity=\"0.55\"");
    if (r->at_least || r->at_most)
        line(f, place(r->limit, scale), mid - 10, place(r->limit, scale),
             mid + 10, ink, "stroke-width=\"2.5\"");
    snprintf(text, sizeof text, "%.2f", r->median);
    label(f, RIGHT - 84, mid + 4,
          "text-anchor=\"end\" font-size=\"13\" font-weight=\"600\"", ink,
          text);
    if (r->at_least || r->at_most) {
        snprintf(text, sizeof text, "%s %.2f", r->at_least ? "≥" : "≤",
                 r->limit);
        label(f, RIGHT, mid + 4, "text-anchor=\"end\" font-size=\"12\"", fill,
              text);
    }
}

/* One group from row i on; returns where the next begins. */
static double draw_group(FILE *f, const struct chart *c, int i, double y) {
    int end = group_end(c, i);
    double scale = full_scale(c, i, end), one = place(1, scale);
    double bottom = y + HEADING + ROW * (end - i);
    label(f, 24, y + 30, "font-size=\"14\" font-weight=\"600\"", ink,
          c->row[i].group);
    line(f, 24, y + 38, RIGHT, y + 38, "#dde3ea", "");
    if (scale < 20)
        line(f, one, y + HEADING - 4, one, bottom, faint,
             "stroke-dasharray=\"2 3\"");
    for (int k = i; k < end; k++)
        draw_row(f, &c->row[k], y + HEADING + ROW * (k - i), scale);
    return bottom;
}

static double height_of(const struct chart *c) {
    double y = TOP + BOTTOM;
    for (int i = 0; i < c->n; i = group_end(c, i))
        y += HEADING + ROW * (group_end(c, i) - i);
    return y;
}

static void legend(FILE *f, double x, const char *fill, const char *text) {
    fprintf(f,
            "<rect x=\"%.0f\" y=\"69\" width=\"14\" height=\"10\" rx=\"2\" "
            "fill=\"%s\"/>\n",
            x, fill);
    label(f, x + 20, 78, "font-size=\"12\"", ink, text);
}

static void draw(FILE *f, const struct chart *c) {
    double height = height_of(c), y = TOP;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
            "height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
            "font-family=\"Inter,Helvetica,Arial,sans-serif\">\n"
            "<rect width=\"100%%\" height=\"100%%\" rx=\"10\" "
            "fill=\"#ffffff\"/>\n",
            WIDTH, height, WIDTH, height);
    label(f, 24, 34, "font-size=\"20\" font-weight=\"700\"", ink,
          "libedgecrdt beside raw LMDB and SQLite");
    label(f, 24, 55, "font-size=\"13\"", faint,
          "median ratios of interleaved rounds in one process; dotted line: "
          "as fast as the other");
    legend(f, 24, met, "bar reached");
    legend(f, 130, missed, "short of the bar");
    legend(f, 262, plain, "no bar");
    line(f, 339, 66, 339, 82, ink, "stroke-width=\"2.5\"");
    label(f, 348, 78, "font-size=\"12\"", ink, "the bar");
    line(f, 418, 74, 440, 74, ink, "stroke-width=\"1.5\"");
    label(f, 448, 78, "font-size=\"12\"", ink, "least to greatest round");
    for (int i = 0; i < c->n; i = group_end(c, i))
        y = draw_group(f, c, i, y);
    fputs("</svg>\n", f);
}

int plot(const char *json_path, const char *svg_path) {
    static struct chart c;
    FILE *in = fopen(json_path, "r"), *out = NULL;
    int code = 1;
    if (!in)
        fprintf(stderr, "edgecrdt-bench: cannot open %s: %s\n", json_path,
                strerror(errno));
    else if (!read_rows(in, &c))
        fprintf(stderr, "edgecrdt-bench: %s has no rows; run the bench\n",
                json_path);
    else if (!(out = fopen(svg_path, "w")))
        fprintf(stderr, "edgecrdt-bench: cannot create %s: %s\n", svg_path,
                strerror(errno));
    else
        draw(out, &c);
    if (out) {
        code = fclose(out) != 0;
        printf("%s: %d rows of %s\n", svg_path, c.n, json_path);
    }
    if (in)
        fclose(in);
    for (int i = 0; i < c.n; i++)
        json_decref(c.line[i]);
    return code;
}
