#include "sampler/unwind/x86_instruction.h"

#include <cstring>

namespace whyslow {
namespace {

constexpr size_t kMaxLength = 15;

enum class Immediate : uint8_t { kNone, k8, k16, kOperandSize, kFull, kOffset, kEnter, kInvalid };

struct Format {
  bool modrm = false;
  Immediate immediate = Immediate::kNone;
};

constexpr Format kInvalidFormat{.immediate = Immediate::kInvalid};

// 00 .. 3f: eight arithmetic operations of the same layout.
Format FormatOfArithmetic(uint8_t opcode) {
  switch (opcode & 7) {
    case 4:
      return {.immediate = Immediate::k8};
    case 5:
      return {.immediate = Immediate::kOperandSize};
    case 6:
    case 7:
      return kInvalidFormat;
    default:
      return {.modrm = true};
  }
}

Format FormatOfHighBytes(uint8_t opcode) {  // c0 .. ff
  switch (opcode) {
    case 0xc0:
    case 0xc1:
    case 0xc6:
      return {.modrm = true, .immediate = Immediate::k8};
    case 0xc7:
      return {.modrm = true, .immediate = Immediate::kOperandSize};
    case 0xc2:
    case 0xca:
      return {.immediate = Immediate::k16};
    case 0xc8:
      return {.immediate = Immediate::kEnter};
    case 0xcd:
    case 0xeb:
      return {.immediate = Immediate::k8};
    case 0xe8:
    case 0xe9:
      return {.immediate = Immediate::kOperandSize};
    case 0xce:
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xea:
      return kInvalidFormat;
    default:
      break;
  }
  if (opcode >= 0xe0 && opcode <= 0xe7) {
    return {.immediate = Immediate::k8};
  }
  const bool has_modrm = (opcode >= 0xd0 && opcode <= 0xdf && opcode != 0xd7) || opcode == 0xf6 ||
                         opcode == 0xf7 || opcode >= 0xfe;
  return {.modrm = has_modrm};
}

Format FormatOfOneByte(uint8_t opcode) {
  if (opcode < 0x40) {
    return FormatOfArithmetic(opcode);
  }
  if (opcode >= 0xc0) {
    return FormatOfHighBytes(opcode);
  }
  if (opcode >= 0x70 && opcode <= 0x7f) {
    return {.immediate = Immediate::k8};
  }
  if (opcode >= 0xb0) {
    return {.immediate = opcode < 0xb8 ? Immediate::k8 : Immediate::kFull};
  }
  if (opcode >= 0xa0) {
    if (opcode <= 0xa3) {
      return {.immediate = Immediate::kOffset};
    }
    return {.immediate = opcode == 0xa8   ? Immediate::k8
                         : opcode == 0xa9 ? Immediate::kOperandSize
                                          : Immediate::kNone};
  }
  switch (opcode) {
    case 0x60:
    case 0x61:
    case 0x82:
    case 0x9a:
      return kInvalidFormat;
    case 0x68:
      return {.immediate = Immediate::kOperandSize};
    case 0x6a:
      return {.immediate = Immediate::k8};
    case 0x69:
    case 0x81:
      return {.modrm = true, .immediate = Immediate::kOperandSize};
    case 0x6b:
    case 0x80:
    case 0x83:
      return {.modrm = true, .immediate = Immediate::k8};
    default:
      return {.modrm = opcode == 0x63 || (opcode >= 0x84 && opcode <= 0x8f)};
  }
}

bool HasByteIn0f(uint8_t opcode) {
  return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xa4 || opcode == 0xac || opcode == 0xba ||
         opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
}

Format FormatOf0f(uint8_t opcode) {
  if (opcode >= 0x80 && opcode <= 0x8f) {
    return {.immediate = Immediate::kOperandSize};
  }
  const bool alone = (opcode >= 0x05 && opcode <= 0x0b) || opcode == 0x0e ||
                     (opcode >= 0x30 && opcode <= 0x37) || opcode == 0x77 ||
                     (opcode >= 0xa0 && opcode <= 0xa2) || (opcode >= 0xa8 && opcode <= 0xaa) ||
                     (opcode >= 0xc8 && opcode <= 0xcf);
  if (alone) {
    return {};
  }
  return {.modrm = true, .immediate = HasByteIn0f(opcode) ? Immediate::k8 : Immediate::kNone};
}

class Decoder {
 public:
  explicit Decoder(std::span<const uint8_t> code)
      : code_(code.first(code.size() < kMaxLength ? code.size() : kMaxLength)) {}

  std::optional<X86Instruction> Decode() {
    const Format format = TakeOpcode();
    if (format.immediate == Immediate::kInvalid) {
      return std::nullopt;
    }
    if (format.modrm) {
      TakeModrm();
    }
    TakeImmediate(ImmediateOf(format));
    if (!ok_) {
      return std::nullopt;
    }
    result_.length = static_cast<uint8_t>(at_);
    return result_;
  }

 private:
  template <class T>
  T Take() {
    T value{};
    if (code_.size() - at_ < sizeof(T)) {
      ok_ = false;
      at_ = code_.size();
    } else {
      std::memcpy(&value, code_.data() + at_, sizeof(T));
      at_ += sizeof(T);
    }
    return value;
  }
  uint8_t Byte() { return Take<uint8_t>(); }
  int32_t SignedByte() { return static_cast<int32_t>(Take<uint8_t>() ^ 0x80) - 0x80; }

  Format TakeOpcode() {
    uint8_t byte = Byte();
    for (; IsPrefix(byte); byte = Byte()) {
      result_.operand_size_16 = result_.operand_size_16 || byte == 0x66;
      short_address_ = short_address_ || byte == 0x67;
    }
    if ((byte & 0xf0) == 0x40) {
      result_.rex = byte;
      byte = Byte();
    }
    if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
      return TakeVector(byte);
    }
    if (byte != 0x0f) {
      result_.opcode = byte;
      return FormatOfOneByte(byte);
    }
    byte = Byte();
    if (byte == 0x38 || byte == 0x3a) {
      result_.map = byte == 0x38 ? X86Map::k0f38 : X86Map::k0f3a;
      result_.opcode = Byte();
      return {.modrm = true, .immediate = byte == 0x3a ? Immediate::k8 : Immediate::kNone};
    }
    result_.map = X86Map::k0f;
    result_.opcode = byte;
    return FormatOf0f(byte);
  }

  static bool IsPrefix(uint8_t byte) {
    return byte == 0x66 || byte == 0x67 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 ||
           byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x26 || byte == 0x64 ||
           byte == 0x65;
  }

  // VEX in two or three bytes, EVEX in four.
  Format TakeVector(uint8_t first) {
    unsigned map = 1;
    if (first != 0xc5) {
      map = Byte() & (first == 0xc4 ? 0x1f : 0x07);
      if (first == 0x62) {
        Take<uint16_t>();
      } else {
        Byte();
      }
    } else {
      Byte();
    }
    result_.map = X86Map::kVector;
    result_.opcode = Byte();
    if (map == 1 && result_.opcode == 0x77 && first != 0x62) {  // vzeroupper
      return {};
    }
    const bool has_byte = map == 3 || (map == 1 && HasByteIn0f(result_.opcode));
    return {.modrm = true, .immediate = has_byte ? Immediate::k8 : Immediate::kNone};
  }

  void TakeModrm() {
    result_.has_modrm = true;
    result_.modrm = Byte();
    const unsigned mode = result_.modrm >> 6;
    if (mode == 3) {
      return;
    }
    const unsigned base = result_.modrm & 7;
    if (base == 4) {
      result_.sib = Byte();
    }
    if (mode == 1) {
      result_.displacement = SignedByte();
    } else if (mode == 2 || base == 5 || (base == 4 && (result_.sib & 7) == 5)) {
      result_.displacement = Take<int32_t>();
    }
  }

  Immediate ImmediateOf(const Format& format) const {
    // test has an immediate where its neighbours of the same opcode have none.
    if (result_.map == X86Map::kOneByte && (result_.opcode & 0xfe) == 0xf6) {
      const bool is_test = (result_.modrm >> 3 & 7) < 2;
      if (!is_test) {
        return Immediate::kNone;
      }
      return result_.opcode == 0xf6 ? Immediate::k8 : Immediate::kOperandSize;
    }
    return format.immediate;
  }

  void TakeImmediate(Immediate kind) {
    const bool half = result_.operand_size_16 && !result_.wide();
    // Near jumps and calls ignore the prefix in 64-bit mode.
    const bool is_jump = (result_.map == X86Map::kOneByte && (result_.opcode & 0xfe) == 0xe8) ||
                         result_.map == X86Map::k0f;
    switch (kind) {
      case Immediate::k8:
        result_.immediate = SignedByte();
        break;
      case Immediate::k16:
        result_.immediate = Take<uint16_t>();
        break;
      case Immediate::kOperandSize:
        result_.immediate = half && !is_jump ? Take<int16_t>() : Take<int32_t>();
        break;
      case Immediate::kFull:
        result_.immediate = result_.wide() ? Take<int64_t>()
                            : half         ? Take<int16_t>()
                                           : Take<int32_t>();
        break;
      case Immediate::kOffset:
        result_.immediate = short_address_ ? Take<int32_t>() : Take<int64_t>();
        break;
      case Immediate::kEnter:
        Take<uint16_t>();
        Byte();
        break;
      case Immediate::kNone:
      case Immediate::kInvalid:
        break;
    }
  }

  std::span<const uint8_t> code_;
  size_t at_ = 0;
  bool ok_ = true;
  bool short_address_ = false;
  X86Instruction result_;
};

}  // namespace

std::optional<X86Instruction> DecodeX86(std::span<const uint8_t> code) {
  return Decoder(code).Decode();
}

}  // namespace whyslow
