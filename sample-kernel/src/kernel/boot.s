# From the PVH entry to Rust, in whatever place the image was linked and loaded.
#
# The 32-bit part runs at physical addresses and knows no other: every address is a distance from `distances`. Below 4 GiB
# everything is mapped where it is, and the first 2 GiB once more at the top of the address space.
#
# Whoever includes this defines PVH_ENTRY, the physical address of pvh_start, and
#     extern "sysv64" fn kernel_main(start_info: u64, virtual_offset: u64) -> !
# where `virtual_offset` is the distance from physical addresses of the image to the ones it was linked at.
#
# Source: Xen, "x86/HVM direct boot ABI" (PVH): the entry state and the note.

.section .note.pvh, "a", @note
.balign 4
.long 4, 4, 18
.asciz "Xen"
.long PVH_ENTRY

.section .text.boot, "ax", @progbits
.code32
.globl pvh_start
.type pvh_start, @function
pvh_start:
    cld
    # No stack is given: the first word of the start info serves as one, just long enough to learn where we are.
    mov ecx, [ebx]
    lea esp, [ebx + 4]
    call 2f
distances:
    .long boot_stack_top - distances
    .long boot_directories - distances
    .long boot_table_low - distances
    .long boot_table_high - distances
    .long boot_top_table - distances
    .long boot_gdt - distances
    .long long_mode - distances
2:
    pop ebp
    mov [ebx], ecx
    mov esp, [ebp]
    add esp, ebp

    # Page tables: four directories of 2 MiB pages, and one table above them for both ends of the address space.
    mov edi, [ebp + 4]
    add edi, ebp
    xor ecx, ecx
2:
    mov eax, ecx
    shl eax, 21
    or eax, 0x83                        # present, writable, 2 MiB
    mov [edi + ecx * 8], eax
    inc ecx
    cmp ecx, 2048
    jne 2b
    mov esi, [ebp + 8]
    add esi, ebp
    mov edx, [ebp + 12]
    add edx, ebp
    lea eax, [edi + 3]                  # present, writable
    mov [esi], eax
    mov [edx + 510 * 8], eax
    add eax, 4096
    mov [esi + 8], eax
    mov [edx + 511 * 8], eax
    add eax, 4096
    mov [esi + 16], eax
    add eax, 4096
    mov [esi + 24], eax
    mov edi, [ebp + 16]
    add edi, ebp
    lea eax, [esi + 3]
    mov [edi], eax
    lea eax, [edx + 3]
    mov [edi + 511 * 8], eax

    # Long mode.
    mov eax, cr4
    or eax, 0xa0                        # PAE, PGE
    mov cr4, eax
    mov cr3, edi
    mov ecx, 0xc0000080                 # EFER
    rdmsr
    or eax, 0x100                       # LME
    wrmsr
    mov eax, cr0
    or eax, 0x80010000                  # PG, WP: one write, and one exit where a hypervisor has the register
    mov cr0, eax
    mov eax, [ebp + 20]
    add eax, ebp
    sub esp, 8
    mov word ptr [esp], 23
    mov [esp + 2], eax
    lgdt [esp]
    mov eax, [ebp + 24]
    add eax, ebp
    push 8
    push eax
    retf

.code64
long_mode:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov edi, ebx
    lea rax, [rip + long_mode]
    mov rsi, [rip + linked_long_mode]
    sub rsi, rax
    mov rsp, [rip + linked_stack_top]
    xor ebp, ebp
    call [rip + linked_main]
    ud2
.size pvh_start, . - pvh_start

.section .data.boot, "aw", @progbits
.balign 8
linked_long_mode: .quad long_mode
linked_stack_top: .quad boot_stack_top
linked_main: .quad kernel_main
boot_gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff

.section .bss.boot, "aw", @nobits
.balign 4096
.globl boot_directories
boot_directories: .skip 4 * 4096
boot_table_low: .skip 4096
boot_table_high: .skip 4096
boot_top_table: .skip 4096
.skip 131072
boot_stack_top:

.text
