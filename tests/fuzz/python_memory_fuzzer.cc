// Whatever stands in a Python process's memory: what is read of it comes back, in bounds.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sampler/python/code_reader.h"
#include "sampler/python/frame_locals.h"
#include "sampler/python/gil.h"
#include "sampler/python/interpreter.h"
#include "sampler/python/thread_names.h"
#include "sampler/python/thread_walk.h"
#include "tests/unit/sampler/python/fake_python.h"

namespace whyslow {
namespace {

constexpr uint64_t kBase = 0x10000;  // where FakePython begins
constexpr size_t kMostMemory = 64 << 10;
constexpr std::array<uint32_t, 6> kVersions = {0x030812f0, 0x030912f0, 0x030a0df0,
                                               0x030b02f0, 0x030c01f0, 0x030e0af0};

// 64 KiB; addresses outside are folded into them, so that most pointers lead somewhere. Those with
// one of the highest bits set cannot be read.
class FoldedMemory final : public TargetMemory {
 public:
  explicit FoldedMemory(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  size_t Read(RuntimeAddress from, std::span<std::byte> into) const override {
    if (from.value() >> 56 != 0 || into.empty()) {
      return 0;
    }
    const size_t at = (from.value() - kBase) % kMostMemory;
    const size_t size = std::min(into.size(), kMostMemory - at);
    std::memcpy(into.data(), bytes_.data() + at, size);
    return size;
  }
  void Put(uint16_t at, std::span<const uint8_t> bytes) {
    std::memcpy(bytes_.data() + at, bytes.data(), std::min(bytes.size(), kMostMemory - at));
  }

 private:
  std::vector<std::byte> bytes_;
};

struct Scene {
  PythonLayout layout;
  std::vector<std::byte> memory;
};

// Two threads of a sound process, one with a name.
Scene MakeScene(uint32_t version) {
  FakePython python = FakePython::OfVersion(version);
  const uint64_t interpreter = python.AddInterpreter();
  const uint64_t name = python.AddWideText<uint16_t>({0x65e5, 0xd800, 'x'});
  const uint64_t keys = python.Allocate(128);
  const bool is_old = python.layout.attributes == AttributeKind::kDictionary;
  python.memory.PutValue(keys + 8, is_old ? uint64_t{8} : uint64_t{0x000303});
  python.memory.PutValue(keys + python.layout.keys_count, uint64_t{1});
  python.memory.PutValue(keys + python.layout.keys_indices + 16, python.AddText("_name"));
  python.memory.PutValue(keys + python.layout.keys_indices + 24, name);
  const uint64_t dictionary = python.Allocate(64);
  python.memory.PutValue(dictionary + python.layout.dict_keys, keys);
  const uint64_t self = python.Allocate(128) + 64;
  const uint64_t type = python.AddType("Thread");
  python.memory.PutValue(self + python.layout.object_type, type);
  python.memory.PutValue(type + python.layout.type_dict_offset, uint64_t{16});
  python.memory.PutValue(is_old ? self + 16 : self - 24, dictionary);
  const std::string lines = "\xdb\x01\x01\xdf\x01\x01\xee\x04\x01\x01\x01";
  const uint64_t bootstrap = python.AddCode({.name = "_bootstrap",
                                             .qualified_name = "Thread._bootstrap",
                                             .file = "threading.py",
                                             .line_table = lines});
  const uint64_t root = python.AddFrame(bootstrap, 0, 1);
  python.memory.PutValue(root + python.layout.frame_locals, self);
  const uint64_t own = python.AddFrame(bootstrap, root, 3);
  const uint64_t leaf = python.AddFrame(python.AddCode({.line_table = lines}), own, 0);
  python.AddThread(interpreter, 0x7000, leaf, 7);
  python.AddThread(python.AddInterpreter(), 0x7000, root, 8);
  Scene scene{.layout = python.layout, .memory = std::vector<std::byte>(kMostMemory)};
  for (uint64_t at = 0; at < kMostMemory; ++at) {
    scene.memory[at] =
        python.memory.ReadValue<std::byte>(RuntimeAddress(kBase + at)).value_or(std::byte{});
  }
  return scene;
}

const Scene& SceneOf(size_t number) {
  static const std::array<Scene, kVersions.size()> kScenes = [] {
    std::array<Scene, kVersions.size()> scenes;
    for (size_t i = 0; i < scenes.size(); ++i) {
      scenes[i] = MakeScene(kVersions[i]);
    }
    return scenes;
  }();
  return kScenes[number % kScenes.size()];
}

// A table of offsets that the target made.
std::optional<PythonLayout> HostileLayout(uint8_t minor, std::span<const uint8_t> bytes) {
  std::vector<std::byte> table = DebugOffsets314(0x030d00f0 + (uint32_t{minor} % 3 << 16));
  for (size_t i = 0; i + 3 <= bytes.size(); i += 3) {
    const size_t word = 2 + bytes[i] % (table.size() / 8 - 2);
    std::memcpy(table.data() + word * 8, bytes.data() + i + 1, 2);
  }
  absl::StatusOr<PythonLayout> layout = PythonLayoutOf(0, table);
  return layout.ok() ? std::optional(*layout) : std::nullopt;
}

// What only `whyslow dump` reads.
void Inspect(const PythonObjects& objects, RuntimeAddress runtime,
             std::span<const PythonThread> threads) {
  constexpr size_t kMostLocals = 64;
  const std::vector<std::byte> table = DebugOffsets314(objects.layout().version);
  const auto layout = InspectionLayoutOf(objects.layout(), table);
  if (!layout) {
    return;
  }
  (void)ReadGils(objects, *layout, runtime);
  for (const PythonThread& thread : threads.first(std::min<size_t>(threads.size(), 4))) {
    const PythonWalk walk = WalkPythonThread(objects, thread);
    for (size_t i = 0; i < std::min<size_t>(walk.steps.size(), 8); ++i) {
      const std::vector<PythonLocal> locals =
          ReadFrameLocals(objects, *layout, walk.steps[i].frame, walk.steps[i].code);
      WHYSLOW_CHECK(locals.size() <= kMostLocals);
      for (const PythonLocal& local : locals) {
        WHYSLOW_CHECK(!local.value.empty() && local.value.size() < 16384);
      }
    }
  }
}

// First byte: which version; its highest bit: with offsets of the input's making, then how many
// bytes make them. The rest is what the memory holds instead: where (2 bytes), 8 bytes.
void Run(std::span<const uint8_t> input) {
  if (input.size() < 2) {
    return;
  }
  const Scene& scene = SceneOf(input[0] & 0x7f);
  FoldedMemory memory(scene.memory);
  Interpreter interpreter;
  interpreter.layout = scene.layout;
  const bool is_hostile = (input[0] & 0x80) != 0;
  const std::span<const uint8_t> offsets =
      input.subspan(2, is_hostile ? std::min<size_t>(input[1], input.size() - 2) : 0);
  if (is_hostile) {
    interpreter.layout = HostileLayout(input[0], offsets).value_or(scene.layout);
    interpreter.layout.walk.interpreters = scene.layout.walk.interpreters;
  }
  for (std::span<const uint8_t> rest = input.subspan(2 + offsets.size()); rest.size() >= 10;
       rest = rest.subspan(10)) {
    memory.Put(static_cast<uint16_t>(rest[0] | rest[1] << 8), rest.subspan(2, 8));
  }
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
  Inspect(objects, interpreter.runtime, threads);
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
