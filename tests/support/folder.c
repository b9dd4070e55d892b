#include "folder.h"

char folder[256];

const char *in_folder(const char *name) {
  static char paths[8][1024];
  static int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

int enter_folder(void **state) {
  (void)state;
  make_folder(folder);
  return 0;
}

int leave_folder(void **state) {
  (void)state;
  limn_allocator_set(NULL);
  remove_folder(folder);
  return 0;
}
