/* Switching stacks. Any thread; a context is switched to by the thread that owns it. Rounding modes and the signal mask
 * are the process's, not a coroutine's: nobody changes them. Source: System V ABI, x86-64, section 3.2.1. */
#include "platform/io/co_context.h"

#include "platform/base/check.h"
#include <stdint.h>

#ifdef CO_CONTEXT_OWN

#define KEPT_REGISTERS 6

void co_context_swap(void **ret_sp, void *to);

__asm__(".text\n"
        ".p2align 4\n"
        ".type co_context_swap, @function\n"
        "co_context_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size co_context_swap, . - co_context_swap\n");

void co_context_make(struct co_context *c, void *stack, size_t bytes, void (*begin)(void))
{
    uintptr_t top = ((uintptr_t)stack + bytes) & ~(uintptr_t)15;
    uintptr_t *sp = (uintptr_t *)top;

    *--sp = 0; /* begin's return address: where a backtrace ends */
    *--sp = (uintptr_t)begin;
    for (int i = 0; i < KEPT_REGISTERS; i++)
        *--sp = 0;
    c->sp = sp;
}

void co_context_switch(struct co_context *from, struct co_context *to)
{
    co_context_swap(&from->sp, to->sp);
}

#else

void co_context_make(struct co_context *c, void *stack, size_t bytes, void (*begin)(void))
{
    CHECK(getcontext(&c->ucontext) == 0);
    c->ucontext.uc_stack.ss_sp = stack;
    c->ucontext.uc_stack.ss_size = bytes;
    c->ucontext.uc_link = NULL;
    makecontext(&c->ucontext, begin, 0);
}

void co_context_switch(struct co_context *from, struct co_context *to)
{
    CHECK(swapcontext(&from->ucontext, &to->ucontext) == 0);
}

#endif
