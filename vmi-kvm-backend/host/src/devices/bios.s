# What there is of a BIOS, in 16 bits: the page from F000:F000 on, and once more the last of the first 4 GiB.
# Source: IBM Personal Computer AT Technical Reference, "ROM BIOS"; for the memory map, ACPI specification, "INT 15H, E820H -
# Query System Address Map".

.macro vector handler
    .word \handler - vmi_run_bios + 0xf000, 0xf000
.endm

.pushsection .rodata
.balign 0x1000
.globl vmi_run_bios
.hidden vmi_run_bios
vmi_run_bios:
.code16

# The memory map of a guest that starts in real mode: base, size and type of each range. A type of 0 is behind the last.
memory_map:
    .skip {MEMORY_MAP_BYTES}, 0

# Interrupts that a kernel finds at 0.
vectors:
    .rept 8
    vector return
    .endr
    vector tick
    .rept 7
    vector return
    .endr
    vector video
    vector equipment
    vector base_memory
    vector refuse
    vector refuse
    vector system
    vector keyboard
    vector refuse
    # Nothing is left to start from.
    vector reset
    vector reset
    vector refuse
    .rept 0x100 - 0x1b
    vector return
    .endr

.org vmi_run_bios + {START}
# Starts a kernel of the code segment DX with interrupts from 8 and 0x70 on, of which the timer's comes 18.2 times a second.
start:
    mov al, 0x11
    out 0x20, al
    out 0xa0, al
    mov al, 8
    out 0x21, al
    mov al, 0x70
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, 0xfe
    out 0x21, al
    mov al, 0xff
    out 0xa1, al
    mov al, 0x34
    out 0x43, al
    xor al, al
    out 0x40, al
    out 0x40, al
    pushf
    push dx
    push 0
    iret

tick:
    push ax
    push ds
    xor ax, ax
    mov ds, ax
    inc dword ptr [{TICKS}]
    mov al, 0x20
    out 0x20, al
    pop ds
    pop ax
return:
    iret

# A letter goes to COM1. What moves a cursor or clears a screen does nothing, and there is one page, whose cursor is at 0.
video:
    cmp ah, 0x0e
    je 2f
    cmp ah, 3
    jne return
    xor dx, dx
    iret
2:
    push dx
    mov dx, {COM1}
    out dx, al
    pop dx
    iret

equipment:
    push ds
    xor ax, ax
    mov ds, ax
    mov ax, [{EQUIPMENT}]
    pop ds
    iret

base_memory:
    push ds
    xor ax, ax
    mov ds, ax
    mov ax, [{BASE_MEMORY}]
    pop ds
    iret

# Tells a range of the memory map; EBX is 0 for the first, and behind the last.
system:
    cmp eax, 0xe820
    jne refuse
    push si
    imul si, bx, 20
    add si, 0xf000
    cmp ebx, {MEMORY_MAP_BYTES} / 20 - 1
    jae 2f
    cmp dword ptr cs:[si + 16], 0
    je 2f
    push di
    mov cx, 10
    cld
    rep movs word ptr es:[di], word ptr cs:[si]
    pop di
    mov ecx, 20
    inc ebx
    cmp dword ptr cs:[si + 16], 0
    jne 3f
    xor ebx, ebx
3:
    pop si
    mov eax, edx
    push bp
    mov bp, sp
    and byte ptr [bp + 6], 0xfe
    pop bp
    iret
2:
    pop si

# Waits for a key, or looks whether one was pressed: a byte that came to COM1. It is kept until it is fetched.
keyboard:
    test ah, 0xee
    jnz refuse
    push ds
    push dx
    push 0
    pop ds
2:
    cmp byte ptr [{KEY}], 0
    jne 4f
    mov dx, {COM1} + 5
    in al, dx
    # Where there is no COM1, ones are read.
    cmp al, 0xff
    je 3f
    test al, 1
    jz 3f
    mov dx, {COM1}
    in al, dx
    mov [{KEY}], al
    jmp 2b
3:
    test ah, 1
    jnz 5f
    sti
    hlt
    jmp 2b
4:
    xchg dl, ah
    mov al, [{KEY}]
    mov ah, 0
    test dl, 1
    jnz 6f
    mov byte ptr [{KEY}], 0
6:
    pop dx
    pop ds
    push bp
    mov bp, sp
    and byte ptr [bp + 6], 0xbe
    pop bp
    iret
5:
    pop dx
    pop ds

# Says by a code and the carry flag that there is no such service, and by the zero flag that no key was pressed.
refuse:
    mov ah, 0x86
    push bp
    mov bp, sp
    or byte ptr [bp + 6], 0x41
    pop bp
    iret

# Here a CPU begins after a reset. These instructions mean the same in 16, 32 and 64 bits.
.org vmi_run_bios + {VECTOR}
reset:
    mov dh, {RESET_PORT} >> 8
    mov dl, {RESET_PORT} & 0xff
    mov al, {RESET}
    out dx, al
2:
    cli
    hlt
    jmp 2b

.org vmi_run_bios + 0x1000
.code64
.popsection
