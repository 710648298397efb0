#include "sampler/unwind/expression.h"

#include <array>

#include "base/byte_reader.h"

namespace whyslow {
namespace {

// The longest seen is the PLT's, with 11 operations.
constexpr int kMaxSteps = 512;
constexpr size_t kMaxDepth = 32;

enum Operation : uint8_t {  // DW_OP_*
  kAddr = 0x03,
  kDeref = 0x06,
  kConst1u = 0x08,
  kConst1s = 0x09,
  kConst2u = 0x0a,
  kConst2s = 0x0b,
  kConst4u = 0x0c,
  kConst4s = 0x0d,
  kConst8u = 0x0e,
  kConst8s = 0x0f,
  kConstu = 0x10,
  kConsts = 0x11,
  kDup = 0x12,
  kDrop = 0x13,
  kOver = 0x14,
  kPick = 0x15,
  kSwap = 0x16,
  kRot = 0x17,
  kAbs = 0x19,
  kAnd = 0x1a,
  kDiv = 0x1b,
  kMinus = 0x1c,
  kMod = 0x1d,
  kMul = 0x1e,
  kNeg = 0x1f,
  kNot = 0x20,
  kOr = 0x21,
  kPlus = 0x22,
  kPlusUconst = 0x23,
  kShl = 0x24,
  kShr = 0x25,
  kShra = 0x26,
  kXor = 0x27,
  kBra = 0x28,
  kEq = 0x29,
  kGe = 0x2a,
  kGt = 0x2b,
  kLe = 0x2c,
  kLt = 0x2d,
  kNe = 0x2e,
  kSkip = 0x2f,
  kLit0 = 0x30,
  kLit31 = 0x4f,
  kBreg0 = 0x70,
  kBreg31 = 0x8f,
  kBregx = 0x92,
  kDerefSize = 0x94,
  kNop = 0x96,
};

int64_t Signed(uint64_t value) { return static_cast<int64_t>(value); }
uint64_t Unsigned(int64_t value) { return static_cast<uint64_t>(value); }

class Evaluator {
 public:
  Evaluator(std::span<const std::byte> bytes, const ExpressionInput& input)
      : cursor_(bytes), input_(input) {}

  ExpressionResult Run() {
    if (input_.initial) {
      Push(*input_.initial);
    }
    for (int step = 0; !cursor_.at_end(); ++step) {
      if (step == kMaxSteps) {
        Fail(ExpressionFailure::kMalformed);
      } else {
        Execute(cursor_.U8());
      }
      if (failure_ != ExpressionFailure::kNone) {
        return {.failure = failure_};
      }
    }
    const uint64_t value = Pop();
    if (!cursor_.ok()) {
      Fail(ExpressionFailure::kMalformed);
    }
    return {.value = value, .failure = failure_};
  }

 private:
  void Fail(ExpressionFailure failure) {
    if (failure_ == ExpressionFailure::kNone) {
      failure_ = failure;
    }
  }
  void Push(uint64_t value) {
    if (depth_ == kMaxDepth) {
      Fail(ExpressionFailure::kMalformed);
    } else {
      stack_[depth_++] = value;
    }
  }
  void Push(std::optional<uint64_t> value, ExpressionFailure otherwise) {
    if (value) {
      Push(*value);
    } else {
      Fail(otherwise);
    }
  }
  uint64_t Pop() {
    if (depth_ == 0) {
      Fail(ExpressionFailure::kMalformed);
      return 0;
    }
    return stack_[--depth_];
  }
  // `back` = 0 is the top.
  void Pick(size_t back) {
    if (back >= depth_) {
      Fail(ExpressionFailure::kMalformed);
    } else {
      Push(stack_[depth_ - 1 - back]);
    }
  }
  void PushRegister(uint64_t number) {
    const uint64_t offset = Unsigned(cursor_.Sleb());
    const std::optional<uint64_t> value =
        number < kMaxRegisters ? input_.registers.Get(static_cast<uint8_t>(number)) : std::nullopt;
    if (value) {
      Push(*value + offset);
    } else {
      Fail(ExpressionFailure::kRegisterUnknown);
    }
  }
  void Dereference(size_t size) {
    const uint64_t address = Pop();
    if (size == 0 || size > sizeof(uint64_t)) {
      Fail(ExpressionFailure::kMalformed);
    } else if (failure_ == ExpressionFailure::kNone) {
      Push(
          size == sizeof(uint64_t) ? input_.words.Word(address) : input_.words.Bytes(address, size),
          ExpressionFailure::kMemory);
    }
  }

  void Execute(uint8_t operation) {
    if (operation >= kLit0 && operation <= kLit31) {
      Push(static_cast<uint64_t>(operation - kLit0));
    } else if (operation >= kBreg0 && operation <= kBreg31) {
      PushRegister(static_cast<uint64_t>(operation - kBreg0));
    } else if (operation >= kConst1u && operation <= kConsts) {
      PushConstant(operation);
    } else if (operation >= kDup && operation <= kRot) {
      Rearrange(operation);
    } else if (operation >= kAbs && operation <= kNe && operation != kBra) {
      Calculate(operation);
    } else {
      ExecuteOther(operation);
    }
  }

  void ExecuteOther(uint8_t operation) {
    switch (operation) {
      case kAddr:
        Push(cursor_.Fixed<uint64_t>() + input_.load_bias);
        break;
      case kDeref:
        Dereference(sizeof(uint64_t));
        break;
      case kDerefSize:
        Dereference(cursor_.U8());
        break;
      case kBregx:
        PushRegister(cursor_.Uleb());
        break;
      case kBra: {
        const int16_t distance = cursor_.Fixed<int16_t>();
        if (Pop() != 0) {
          cursor_.Move(distance);
        }
        break;
      }
      case kSkip:
        cursor_.Move(cursor_.Fixed<int16_t>());
        break;
      case kNop:
        break;
      default:
        Fail(ExpressionFailure::kMalformed);
    }
  }

  void PushConstant(uint8_t operation) {
    switch (operation) {
      case kConst1u:
        return Push(cursor_.U8());
      case kConst1s:
        return Push(Unsigned(cursor_.Fixed<int8_t>()));
      case kConst2u:
        return Push(cursor_.Fixed<uint16_t>());
      case kConst2s:
        return Push(Unsigned(cursor_.Fixed<int16_t>()));
      case kConst4u:
        return Push(cursor_.U32());
      case kConst4s:
        return Push(Unsigned(cursor_.Fixed<int32_t>()));
      case kConst8u:
      case kConst8s:
        return Push(cursor_.Fixed<uint64_t>());
      case kConstu:
        return Push(cursor_.Uleb());
      default:
        return Push(Unsigned(cursor_.Sleb()));
    }
  }

  void Rearrange(uint8_t operation) {
    switch (operation) {
      case kDup:
        return Pick(0);
      case kDrop:
        Pop();
        return;
      case kOver:
        return Pick(1);
      case kPick:
        return Pick(cursor_.U8());
      case kSwap: {
        const uint64_t top = Pop();
        const uint64_t second = Pop();
        Push(top);
        return Push(second);
      }
      default: {  // kRot: the top goes below the next two
        const uint64_t top = Pop();
        const uint64_t second = Pop();
        const uint64_t third = Pop();
        Push(top);
        Push(third);
        return Push(second);
      }
    }
  }

  void Calculate(uint8_t operation) {
    const uint64_t b = Pop();
    switch (operation) {
      case kAbs:
        return Push(Signed(b) < 0 ? 0 - b : b);
      case kNeg:
        return Push(0 - b);
      case kNot:
        return Push(~b);
      case kPlusUconst:
        return Push(b + cursor_.Uleb());
      default:
        return Push(Combine(operation, Pop(), b), ExpressionFailure::kMalformed);
    }
  }

  static std::optional<uint64_t> Combine(uint8_t operation, uint64_t a, uint64_t b) {
    switch (operation) {
      case kAnd:
        return a & b;
      case kDiv:
        // The one overflow of signed division is given its wrapped value.
        return b == 0 ? std::nullopt
                      : std::optional(b == ~uint64_t{0} ? 0 - a : Unsigned(Signed(a) / Signed(b)));
      case kMinus:
        return a - b;
      case kMod:
        return b == 0 ? std::nullopt : std::optional(a % b);
      case kMul:
        return a * b;
      case kOr:
        return a | b;
      case kPlus:
        return a + b;
      case kShl:
        return b < 64 ? a << b : 0;
      case kShr:
        return b < 64 ? a >> b : 0;
      case kShra:
        return Unsigned(Signed(a) >> (b < 64 ? b : 63));
      case kXor:
        return a ^ b;
      default:
        return Compare(operation, Signed(a), Signed(b)) ? 1 : 0;
    }
  }

  static bool Compare(uint8_t operation, int64_t a, int64_t b) {
    switch (operation) {
      case kEq:
        return a == b;
      case kGe:
        return a >= b;
      case kGt:
        return a > b;
      case kLe:
        return a <= b;
      case kLt:
        return a < b;
      default:
        return a != b;
    }
  }

  ByteReader cursor_;
  const ExpressionInput& input_;
  std::array<uint64_t, kMaxDepth> stack_;
  size_t depth_ = 0;
  ExpressionFailure failure_ = ExpressionFailure::kNone;
};

}  // namespace

ExpressionResult EvaluateExpression(std::span<const std::byte> bytes,
                                    const ExpressionInput& input) {
  return Evaluator(bytes, input).Run();
}

}  // namespace whyslow
