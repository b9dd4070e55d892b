/*
 * intro.h - what limn intro has run, for the terminal, JSON and the page alike.
 *
 * The lessons are run once and what they show is recorded; everything that is printed or written is
 * made from the records.
 */
#ifndef LIMN_CLI_INTRO_H
#define LIMN_CLI_INTRO_H

#include "cli.h"
#include "lesson.h"

enum { INTRO_N_SECTIONS = 7 };

/* A lesson and the text of its file, which the build puts into the program. */
typedef struct intro_lesson {
  const lesson *lesson;
  const char *file; /* "3_attention.c" */
  const char *source;
} intro_lesson;

extern const intro_lesson intro_lessons[INTRO_N_SECTIONS];
extern const char intro_style[]; /* the page's CSS */

typedef enum intro_kind { INTRO_VALUE, INTRO_TEXT, INTRO_PICTURE } intro_kind;

typedef struct intro_record {
  intro_kind kind;
  int section, line;
  char *name; /* of a value, or of a picture's files */
  char *text; /* a sentence, a value's note, a picture's caption */
  lesson_value value;
  char *svg;
  size_t n_svg;
} intro_record;

typedef struct introduction {
  uint64_t seed;
  int first, last;    /* sections */
  const char *folder; /* for pictures and the page, or NULL */
  int section;        /* that is being run */
  intro_record *records;
  size_t n, capacity;
  bool is_out_of_memory;
} introduction;

/* The page with everything in it, as a file. */
limn_status intro_write_page(const introduction *in, const char *path, limn_error *err);

/* ---- a lesson's file as HTML --------------------------------------------------------------------
 */

/* Called where the outputs of the source's lines up to `line` belong. */
typedef void (*intro_outputs_fn)(FILE *to, void *user, int line);

/*
 * Writes a lesson's source: comments that begin with a line of its own become text, the rest code,
 * and behind each function (and before each such comment) come the outputs of what was above.
 */
void intro_put_source(FILE *to, const char *source, intro_outputs_fn put_outputs, void *user);
/* n bytes of text, with what HTML takes for markup escaped. */
void intro_put_escaped(FILE *to, const char *text, size_t n);

#endif
