// Whatever a module's CFI and code, a stack and registers hold: the unwinder comes back, with a
// stack in bounds.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"
#include "sampler/unwind/stack_unwinder.h"
#include "tests/unit/sampler/unwind/cfi_builder.h"

namespace whyslow {
namespace {

constexpr uint64_t kBias = 0x400000;
constexpr uint64_t kStack = 0x7ff000;

// Hands out the input piece by piece.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : bytes_(data, size) {}

  uint8_t Byte() {
    const std::span<const uint8_t> one = Take(1);
    return one.empty() ? uint8_t{0} : one[0];
  }
  std::span<const uint8_t> Take(size_t size) {
    const std::span<const uint8_t> taken = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const uint8_t> bytes_;
};

void Run(Input input) {
  const uint8_t flags = input.Byte();
  const bool is_arm = (flags & 1) != 0;
  TestElf elf;
  elf.machine = is_arm ? EM_AARCH64 : EM_X86_64;
  elf.entry = (flags & 2) != 0 ? 0x1800 : 0;
  const std::span<const uint8_t> code = input.Take(size_t{input.Byte()} * 2);
  std::copy(code.begin(), code.end(), elf.code.begin());
  const std::span<const uint8_t> words = input.Take(size_t{input.Byte()});
  UserRegisters registers(is_arm ? Architecture::kArm64 : Architecture::kX86_64);
  for (uint8_t number = 0; number < registers.pc_number(); ++number) {
    registers.Set(number, kStack + 8 * uint64_t{number});
  }
  registers.Set(registers.sp_number(), kStack);
  registers.Set(registers.pc_number(), kBias + 0x1000 + input.Byte());
  // Half of the stack's words lead into the code, so that walks go on.
  std::vector<std::byte> stack(1024);
  for (size_t i = 0; i < words.size() && (i + 1) * 8 <= stack.size(); ++i) {
    const uint64_t word = words[i] % 2 == 0 ? kBias + 0x1000 + words[i] * 2 : kStack + words[i] * 4;
    std::memcpy(stack.data() + i * 8, &word, sizeof(word));
  }
  const std::span<const uint8_t> cfi = input.Take(size_t{1} << 20);
  const char* section = (flags & 4) != 0 ? ".debug_frame" : ".eh_frame";
  elf.sections = {{section, {0x8000, CfiBytes(cfi.begin(), cfi.end())}}};
  if ((flags & 8) != 0) {
    elf.sections.push_back({".gopclntab", {0x9000, CfiBytes(8)}});
  }
  AddressSpace space;
  space.Add({.start = RuntimeAddress(kBias + 0x1000),
             .end = RuntimeAddress(kBias + 0x2000),
             .file_offset = 0x1000,
             .kind = MappingKind::kFile,
             .module = elf.Module(),
             .elf_bias = 0 - kBias});
  for (const UnwindMode mode :
       {UnwindMode::kAuto, UnwindMode::kDwarf, UnwindMode::kFramePointers}) {
    StackUnwinder unwinder(mode);
    NativeStack result;
    unwinder.Unwind(registers, space, StackCopy(RuntimeAddress(kStack), stack), result);
    WHYSLOW_CHECK(!result.frames.empty());
    WHYSLOW_CHECK(result.frames.size() <= StackUnwinder::kMaxFrames);
  }
}

}  // namespace
}  // namespace whyslow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  whyslow::Run(whyslow::Input(data, size));
  return 0;
}
