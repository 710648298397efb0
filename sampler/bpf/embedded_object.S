/* The compiled BPF programs as bytes of our own program. */
        .section .rodata
        .balign 8
        .global kWhyslowBpfObject
        .global kWhyslowBpfObjectEnd
kWhyslowBpfObject:
        .incbin WHYSLOW_BPF_OBJECT
kWhyslowBpfObjectEnd:
        .byte 0
        .section .note.GNU-stack, "", %progbits
