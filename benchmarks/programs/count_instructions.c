/* Count the instructions that an emulated program executes between its own marks: a TCG plugin.
 *
 * The program marks a place by the system call getpriority(MARK, n), which does nothing else there
 * (PRIO_PROCESS, _PGRP and _USER are 0 to 2, so the kernel refuses this one at once). At each mark a
 * line "n count" goes to the file that the argument out=FILE names: the instructions since the last
 * one. Instructions of all threads count, so use one; nothing is known of caches or of memory.
 *
 *   gcc -shared -fPIC -O2 -o count.so count_instructions.c
 *   qemu-aarch64 -plugin ./count.so,out=counts.txt PROGRAM
 *
 * For QEMU 7.2 and 8, whose plugin interface is declared here since Debian packages no header: see
 * include/qemu/qemu-plugin.h of QEMU.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

enum { ADD_U64 = 0 }; /* QEMU_PLUGIN_INLINE_ADD_U64 */
enum { GETPRIORITY = 141, MARK = 0x51 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t, uint64_t));

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t executed, at_last_mark;
static FILE *out;

/* A block is executed as a whole, so its instructions are added where it begins. */
static void on_translated(plugin_id id, struct qemu_plugin_tb *block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed,
                                           qemu_plugin_tb_n_insns(block));
}

static void on_system_call(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b,
                           uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)cpu, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number != GETPRIORITY || a != MARK) return;
  fprintf(out, "%" PRIu64 " %" PRIu64 "\n", b, executed - at_last_mark);
  fflush(out);
  at_last_mark = executed;
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info,
                                                               int argc, char **argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || !(out = fopen(argv[0] + 4, "w"))) {
    fprintf(stderr, "count_instructions: give out=FILE, a file that can be written\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
  qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
  return 0;
}
