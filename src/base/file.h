/*
 * file.h - inside the library: whole files as read-only memory, and what else is about files.
 */
#ifndef LIMN_SRC_BASE_FILE_H
#define LIMN_SRC_BASE_FILE_H

#include <limn/io.h>

/*
 * A file mapped read only. An empty file has data != NULL and size 0. What is not a regular file
 * (a pipe) is read into memory instead. The bytes are valid until limn_file_close.
 */
typedef struct limn_file {
  const unsigned char *data;
  size_t size;
  bool is_mapped;
} limn_file;

/* LIMN_ERROR_NOT_FOUND when there is no such file, LIMN_ERROR_IO otherwise; the text has the path.
 */
limn_status limn_file_open(const char *path, limn_file *out, limn_error *err);
void limn_file_close(limn_file *f);
/* Asks the system to read and map the file in huge pages where it can, when it is read next. */
void limn_file_want_huge_pages(const limn_file *f);
/* Tells the system that the pages between are not needed now: they leave this process's memory and
   come back when they are read. */
void limn_file_release(const limn_file *f, const void *start, size_t n);
bool limn_path_exists(const char *path);
bool limn_path_is_folder(const char *path);
/* "folder/name" from limn_alloc; NULL without memory. */
char *limn_path_join(const char *folder, const char *name);

/* Writes what is buffered, so that a full disk is known before any of several outputs is committed.
 */
limn_status limn_output_flush(limn_output *o, limn_error *err);

#endif
