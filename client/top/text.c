#include "client/top/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/*  One character: the bytes that it has, and what is to be written. */
typedef struct glyph {
    size_t size;
    int columns;
    bool good; /* else a '?' */
} glyph_t;

/*  Marks of direction and such take no column, but change how the others are shown. */
static bool is_invisible(wchar_t c)
{
    return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xad;
}

static glyph_t glyph_at(const char *text)
{
    mbstate_t state = {0};
    wchar_t c;
    size_t size = mbrtowc(&c, text, strlen(text), &state);
    if (size == (size_t)-1 || size == (size_t)-2 || size == 0)
        return (glyph_t){1, 1, false};
    int columns = wcwidth(c);
    if (columns < 0 || is_invisible(c))
        return (glyph_t){size, 1, false};
    return (glyph_t){size, columns, true};
}

int text_width(const char *text)
{
    int width = 0;
    while (*text != '\0') {
        glyph_t glyph = glyph_at(text);
        width += glyph.columns;
        text += glyph.size;
    }
    return width;
}

/*  As much as fits; returns the columns taken. */
static int put_start(FILE *out, const char *text, int room)
{
    int used = 0;
    while (*text != '\0') {
        glyph_t glyph = glyph_at(text);
        if (used + glyph.columns > room)
            break;
        if (glyph.good)
            fwrite(text, 1, glyph.size, out);
        else
            fputc('?', out);
        used += glyph.columns;
        text += glyph.size;
    }
    return used;
}

void text_put(FILE *out, const char *text, int width, bool right)
{
    if (width <= 0)
        return;
    int full = text_width(text);
    if (full <= width) {
        if (right)
            fprintf(out, "%*s", width - full, "");
        put_start(out, text, width);
        if (!right)
            fprintf(out, "%*s", width - full, "");
        return;
    }
    int used = put_start(out, text, width - 1);
    fputs(MB_CUR_MAX > 1 ? "…" : "~", out);
    fprintf(out, "%*s", width - 1 - used, ""); /* half of a wide character */
}

/* ---- numbers -------------------------------------------------------------------------------- */

/*  "12.3M": three digits and a letter are enough for what does not fit. */
static void short_number(double number, char text[TEXT_SIZE])
{
    static const char units[] = "kMGTP";
    size_t unit = 0;
    for (number /= 1000; number >= 999.95 && unit + 2 < sizeof units; unit++)
        number /= 1000;
    snprintf(text, TEXT_SIZE, "%.1f%c", number < 9999 ? number : 9999, units[unit]);
}

void text_of_count(double count, char text[TEXT_SIZE])
{
    if (count < 0)
        snprintf(text, TEXT_SIZE, "-");
    else if (count < 1e7)
        snprintf(text, TEXT_SIZE, "%.0f", count);
    else
        short_number(count, text);
}

void text_of_rate(double per_s, char text[TEXT_SIZE])
{
    if (per_s > 0 && per_s < 99.95)
        snprintf(text, TEXT_SIZE, "%.1f", per_s);
    else
        text_of_count(per_s, text);
}
