/*  Text from anybody, cut and padded to so many columns of a terminal, as the locale has them. */

#ifndef REEVE_CLIENT_TOP_TEXT_H
#define REEVE_CLIENT_TOP_TEXT_H

#include <stdbool.h>
#include <stdio.h>

/*  Columns that it takes. What a terminal could be driven or confused with counts as the '?' that is
    written for it. */
int text_width(const char *text);

/*  Writes it so that it takes exactly `width` columns; what is cut ends in a mark. */
void text_put(FILE *out, const char *text, int width, bool right);

enum { TEXT_SIZE = 16 };
/*  Numbers of at most seven columns: "1234567", "12.3M"; rates "0.5", "1234"; "-" for below 0. */
void text_of_count(double count, char text[TEXT_SIZE]);
void text_of_rate(double per_s, char text[TEXT_SIZE]);

#endif
