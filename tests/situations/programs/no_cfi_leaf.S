/* Hand-written code without CFI, as in many libraries: called by C that has CFI and no frame pointers. */
  .text
  .globl leaf
  .type leaf, @function
leaf:
  pushq %rbx
  pushq %r12
  subq $72, %rsp
  movq %rdi, %rbx
  movl $20000000, %ecx
1:
  imulq $1103515245, %rbx, %rbx
  movq %rbx, 8(%rsp)
  decl %ecx
  jnz 1b
  movq %rbx, %rax
  addq $72, %rsp
  popq %r12
  popq %rbx
  ret
  .size leaf, . - leaf
  .section .note.GNU-stack, "", @progbits
