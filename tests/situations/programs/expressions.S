/* CFI that compilers write rarely. Each function uses another kind:
   outer    its CFA is in rbx
   middle   its CFA is read from memory by an expression, as its frame is realigned
   inner    rbx is saved where an expression says; then rbx is rubbish, so that outer depends on it
   deepest  the caller's rbp, on which main depends, is a value that an expression computes */
  .text
  .globl outer
  .type outer, @function
outer:
  .cfi_startproc
  pushq %rbx
  .cfi_def_cfa_offset 16
  .cfi_offset rbx, -16
  leaq 16(%rsp), %rbx
  .cfi_def_cfa rbx, 0
  subq $72, %rsp
  andq $-64, %rsp
  call middle
  leaq -16(%rbx), %rsp
  .cfi_def_cfa rsp, 16
  popq %rbx
  .cfi_def_cfa_offset 8
  .cfi_restore rbx
  ret
  .cfi_endproc
  .size outer, . - outer

  .globl middle
  .type middle, @function
middle:
  .cfi_startproc
  leaq 8(%rsp), %rax
  subq $200, %rsp
  andq $-128, %rsp
  movq %rax, 40(%rsp)
  .cfi_escape 0x0f, 0x03, 0x77, 0x28, 0x06  /* DW_CFA_def_cfa_expression: breg7 (rsp) + 40, deref */
  call inner
  movq 40(%rsp), %rcx
  leaq -8(%rcx), %rsp
  .cfi_def_cfa rsp, 8
  ret
  .cfi_endproc
  .size middle, . - middle

  .globl inner
  .type inner, @function
inner:
  .cfi_startproc
  subq $88, %rsp
  .cfi_def_cfa_offset 96
  movq %rbx, 24(%rsp)
  .cfi_escape 0x10, 0x03, 0x02, 0x77, 0x18  /* DW_CFA_expression: rbx at breg7 (rsp) + 24 */
  movq $-1, %rbx
  call deepest
  movq 24(%rsp), %rbx
  .cfi_restore rbx
  addq $88, %rsp
  .cfi_def_cfa_offset 8
  ret
  .cfi_endproc
  .size inner, . - inner

  .globl deepest
  .type deepest, @function
deepest:
  .cfi_startproc
  subq $24, %rsp
  .cfi_def_cfa_offset 32
  addq $16, %rbp
  .cfi_escape 0x16, 0x06, 0x02, 0x76, 0x70  /* DW_CFA_val_expression: rbp is breg6 (rbp) - 16 */
  call leaf
  subq $16, %rbp
  .cfi_restore rbp
  addq $24, %rsp
  .cfi_def_cfa_offset 8
  ret
  .cfi_endproc
  .size deepest, . - deepest
  .section .note.GNU-stack, "", @progbits
