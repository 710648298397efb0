// Decodes x86-64 instructions as far as stack walks need it: length, operands' registers, jumps.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace whyslow {

enum class X86Map : uint8_t { kOneByte, k0f, k0f38, k0f3a, kVector };

struct X86Instruction {
  uint8_t length = 0;
  X86Map map = X86Map::kOneByte;
  uint8_t opcode = 0;
  uint8_t rex = 0;  // 0: none
  bool operand_size_16 = false;
  bool has_modrm = false;
  uint8_t modrm = 0;
  uint8_t sib = 0;
  int32_t displacement = 0;
  int64_t immediate = 0;  // sign-extended; of jumps and calls: the distance

  bool wide() const { return (rex & 8) != 0; }
  bool is_register() const { return modrm >> 6 == 3; }
  // Numbers of the machine (4 is rsp, 5 is rbp), not DWARF's.
  uint8_t reg() const { return static_cast<uint8_t>((modrm >> 3 & 7) | (rex & 4) << 1); }
  uint8_t rm() const { return static_cast<uint8_t>((modrm & 7) | (rex & 1) << 3); }
  // The memory operand is [rsp + displacement] or [rbp + displacement], without an index.
  bool is_at_rsp() const {
    return !is_register() && (modrm & 7) == 4 && (sib & 0x3f) == 0x24 && (rex & 3) == 0;
  }
  bool is_at_rbp() const {
    return !is_register() && modrm >> 6 != 0 && (modrm & 7) == 5 && (rex & 1) == 0;
  }
  // [number + displacement], with an 8-bit or 32-bit displacement; not for rsp and r12.
  bool is_at(uint8_t number) const {
    return !is_register() && modrm >> 6 != 0 && (modrm & 7) != 4 && rm() == number;
  }
  // [rip + displacement], counted from the next instruction.
  bool is_at_rip() const { return modrm >> 6 == 0 && (modrm & 7) == 5; }
};

// nullopt: not enough bytes, or no instruction of 64-bit mode.
std::optional<X86Instruction> DecodeX86(std::span<const uint8_t> code);

}  // namespace whyslow
