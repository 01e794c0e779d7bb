# The functions that the compiler calls for itself, where its target brings none: `sysv64`, sizes in rdx.

.section .text.memory, "ax", @progbits

# memcpy(rdi to, rsi from, rdx len) -> rax to
.globl memcpy
memcpy:
    mov rax, rdi
    mov rcx, rdx
    rep movsb
    ret

# memmove(rdi to, rsi from, rdx len) -> rax to; from the end where the copy starts inside the original.
.globl memmove
memmove:
    mov rax, rdi
    mov rcx, rdx
    mov r8, rdi
    sub r8, rsi
    cmp r8, rdx
    jb 2f
    rep movsb
    ret
2:
    lea rdi, [rdi + rcx - 1]
    lea rsi, [rsi + rcx - 1]
    std
    rep movsb
    cld
    ret

# memset(rdi to, esi byte, rdx len) -> rax to
.globl memset
memset:
    mov r8, rdi
    mov eax, esi
    mov rcx, rdx
    rep stosb
    mov rax, r8
    ret

# memcmp(rdi one, rsi other, rdx len) -> eax: how the first bytes that differ compare. bcmp asks only whether any do.
.globl memcmp
.globl bcmp
memcmp:
bcmp:
    xor eax, eax
    mov rcx, rdx
    cmp eax, eax
    repe cmpsb
    je 2f
    movzx eax, byte ptr [rdi - 1]
    movzx ecx, byte ptr [rsi - 1]
    sub eax, ecx
2:
    ret

.text
