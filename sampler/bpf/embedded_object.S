/* The compiled BPF programs as bytes of our own program. */
        .section .rodata
        .balign 8
        .global whyslow_bpf_object
        .global whyslow_bpf_object_end
whyslow_bpf_object:
        .incbin WHYSLOW_BPF_OBJECT
whyslow_bpf_object_end:
        .byte 0
        .section .note.GNU-stack, "", %progbits
