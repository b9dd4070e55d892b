/*
 * intro_sources.c - the lessons' files and the page's style, put into the program by the assembler:
 * the page of limn intro shows the very code that ran, and needs no source tree.
 */
#include "intro.h"

#define EMBED(name, path)                                                                          \
  __asm__(".section .rodata\n"                                                                     \
          ".hidden " #name "\n"                                                                    \
          ".global " #name "\n" #name ":\n"                                                        \
          ".incbin \"" path "\"\n"                                                                 \
          ".byte 0\n"                                                                              \
          ".previous\n");                                                                          \
  extern const char name[];

#define X(number, file, path)                                                                      \
  extern const lesson lesson_##number;                                                             \
  EMBED(intro_source_##number, path)
#include "lessons.inc"
#undef X

EMBED(intro_style, LIMN_INTRO_STYLE)

const intro_lesson intro_lessons[INTRO_N_SECTIONS] = {
#define X(number, file, path) [number] = {&lesson_##number, file, intro_source_##number},
#include "lessons.inc"
#undef X
};
