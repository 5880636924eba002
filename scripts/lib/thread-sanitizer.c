// Tells the thread sanitizer of three orderings that the Swift runtime keeps where the sanitizer does not look. Linked into the tests
// under the sanitizer by `scripts/test --thread-sanitizer`, and into nothing else.
//
// The runtime's libraries are not compiled with the sanitizer. Whoever takes a `Mutex` that is free, or gives back one that nobody
// waits for, does so by atomic operations compiled into our code, which the sanitizer sees; whoever has to wait does so inside the
// library, by a system call, which it does not see: without this, everything that a contended `Mutex` guards would be reported.
// The runtime tells the sanitizer when a task waits for a continuation, but not when the continuation was resumed before the task came
// to wait.
// An array or dictionary that was read on one thread is changed in place on another, once its storage has one owner left: the count of
// owners orders the two, inside the library.
//
// The functions below have the names of the library's, so that ours are found first; each calls the library's. They claim no ordering
// that is not there: a lock's word is acquired by whoever has the lock, and a task's by whoever runs it.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SWIFT_ASYNC __attribute__((swiftasynccall))
#define SELF __attribute__((swift_context)) void *

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);
extern SWIFT void *swift_task_getCurrent(void);

static SWIFT void (*library_lock)(uint32_t, SELF);
static SWIFT void (*library_unlock)(SELF);
static SWIFT bool (*library_try_lock)(SELF);
static SWIFT_ASYNC void (*library_await)(void *);
static void (*library_enter)(void *);

static void *library(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "this Swift runtime has no %s: see scripts/lib/thread-sanitizer.c\n", name);
        exit(1);
    }
    return function;
}

__attribute__((constructor)) static void find_library_functions(void) {
    library_lock = library(LOCK);
    library_unlock = library(UNLOCK);
    library_try_lock = library(TRY_LOCK);
    library_await = library("swift_continuation_await");
    library_enter = library("swift_task_enterThreadLocalContext");
}

// MARK: Mutex

SWIFT void lock(uint32_t thread, SELF handle) __asm__(LOCK);
SWIFT void lock(uint32_t thread, SELF handle) {
    library_lock(thread, handle);
    __tsan_acquire(handle);
}

SWIFT void unlock(SELF handle) __asm__(UNLOCK);
SWIFT void unlock(SELF handle) {
    __tsan_release(handle);
    library_unlock(handle);
}

SWIFT bool try_lock(SELF handle) __asm__(TRY_LOCK);
SWIFT bool try_lock(SELF handle) {
    bool is_taken = library_try_lock(handle);
    if (is_taken) __tsan_acquire(handle);
    return is_taken;
}

// MARK: Continuations

// Resumed before the task asks: the library goes on at once. (Resumed between this and the library's own look, some ten instructions,
// stays unseen.)
SWIFT_ASYNC void swift_continuation_await(void *context) {
    __tsan_acquire(swift_task_getCurrent());
    __attribute__((musttail)) return library_await(context);
}

// Resumed while the task makes ready to sleep: the library calls this before it goes on.
void swift_task_enterThreadLocalContext(void *state) {
    library_enter(state);
    void *task = swift_task_getCurrent();
    if (task) __tsan_acquire(task);
}

// MARK: Storage with one owner

// Called before the constructor too, by the libraries' own.
void swift_release(void *object) {
    static void (*library_release)(void *);
    if (!library_release) library_release = library("swift_release");
    if ((intptr_t)object > 0) __tsan_release(object);
    library_release(object);
}

bool swift_isUniquelyReferenced_nonNull_native(void *object) {
    static bool (*library_is_unique)(void *);
    if (!library_is_unique) library_is_unique = library("swift_isUniquelyReferenced_nonNull_native");
    bool is_unique = library_is_unique(object);
    if (is_unique) __tsan_acquire(object);
    return is_unique;
}
