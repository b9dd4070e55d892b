/*
 * cpu.h - inside the library: the control group's quota, from any folder that looks like one; and
 * the permission to use tiles.
 */
#ifndef LIMN_SRC_BASE_CPU_H
#define LIMN_SRC_BASE_CPU_H

#include <limn/base.h>

/*
 * How many processors the quotas leave, rounded up, 0 where there is none. `groups` is the folder
 * of the control groups ("/sys/fs/cgroup"), `membership` the file that names the process's own
 * ("/proc/self/cgroup").
 */
int limn_cpu_quota(const char *groups, const char *membership);

/*
 * Asks the system, once for the process and all its threads, to let it use the registers of AMX.
 * Signals then need more room on a stack of their own. False where there are none, or it refuses.
 */
bool limn_cpu_ask_for_tiles(void);

#endif
