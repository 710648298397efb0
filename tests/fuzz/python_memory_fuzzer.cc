// Whatever stands in a Python process's memory: what is read of it comes back, in bounds.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/status.h"
#include "sampler/python/code_reader.h"
#include "sampler/python/interpreter.h"
#include "sampler/python/thread_names.h"
#include "sampler/python/thread_walk.h"

namespace whyslow {
namespace {

constexpr uint64_t kBase = 0x10000;
constexpr size_t kMostMemory = 64 << 10;

// The input, again and again up to a size, so that offsets of every layout lead into it. An address
// outside is folded into it when its bits say so: random words are pointers then.
class FoldedMemory final : public TargetMemory {
 public:
  FoldedMemory(std::span<const uint8_t> bytes, bool folds) : bytes_(bytes), folds_(folds) {}

  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override {
    uint64_t at = from.value() - kBase;
    if (folds_ && (from.value() & (uint64_t{1} << 40)) == 0) {
      at %= kMostMemory;
    }
    size_t done = 0;
    for (; done < into.size() && at < kMostMemory && !bytes_.empty(); ++done, ++at) {
      into[done] = std::byte{bytes_[at % bytes_.size()]};
    }
    return done;
  }

 private:
  std::span<const uint8_t> bytes_;
  bool folds_;
};

PythonLayout Layout(uint8_t choice, std::span<const uint8_t> bytes) {
  constexpr std::array<uint32_t, 5> kVersions = {0x030812f0, 0x030912f0, 0x030a0df0, 0x030b02f0,
                                                 0x030c01f0};
  absl::StatusOr<PythonLayout> layout = absl::UnimplementedError("");
  if (choice >= kVersions.size()) {
    // A table of offsets that the target made.
    std::vector<std::byte> table(kPythonDebugOffsetsSize);
    std::memcpy(table.data(), "xdebugpy", 8);
    const uint64_t version = 0x030d00f0 + (uint64_t{choice} % 3 << 16);
    std::memcpy(table.data() + 8, &version, 8);
    for (size_t i = 3; i < table.size() / 8 && i - 3 < bytes.size(); ++i) {
      table[i * 8] = std::byte{bytes[i - 3]};
    }
    layout = PythonLayoutOf(0, table);
  }
  return layout.ok() ? *layout : *PythonLayoutOf(kVersions[choice % kVersions.size()], {});
}

void Run(std::span<const uint8_t> input) {
  if (input.size() < 2) {
    return;
  }
  const FoldedMemory memory(input.subspan(2), (input[1] & 1) != 0);
  Interpreter interpreter;
  interpreter.layout = Layout(input[0] % 8, input.subspan(2));
  interpreter.layout.walk.interpreters = kBase;
  const PythonObjects objects(memory, interpreter.layout);
  (void)CheckInterpreter(interpreter, memory);
  PythonCodeReader codes(objects);
  const std::vector<PythonThread> threads = ListPythonThreads(objects);
  WHYSLOW_CHECK(threads.size() <= 16384);
  for (size_t i = 0; i < std::min<size_t>(threads.size(), 4); ++i) {
    const PythonWalk walk = WalkPythonThread(objects, threads[i]);
    WHYSLOW_CHECK(walk.frames.size() <= PYTHON_MOST_FRAMES);
    (void)CheckPythonWalk(objects, interpreter.code_type, threads[i], walk);
    (void)ReadPythonThreadAgain(objects, threads[i]);
    codes.BeginStack();
    for (const python_raw_frame& frame : walk.frames) {
      const PythonFrame read = codes.Read(frame);
      WHYSLOW_CHECK(read.line >= 0);
      WHYSLOW_CHECK(read.function == nullptr || read.function->name.size() <= size_t{4} * 4096);
    }
    (void)NameOfPythonThread(objects, codes, walk);
    (void)objects.FindAttribute(threads[i].frame, "_name");
  }
  const std::string_view bytes(reinterpret_cast<const char*>(input.data()), input.size());
  for (const auto kind :
       {LineTableKind::kDeltas, LineTableKind::kRanges, LineTableKind::kLocations}) {
    const PythonLineTable table(kind, bytes, 1);
    for (int64_t offset = -2; offset < 64; ++offset) {
      WHYSLOW_CHECK(table.LineAt(offset) >= 0);
    }
  }
}

}  // namespace
}  // namespace whyslow

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  whyslow::Run(std::span(data, size));
  return 0;
}
