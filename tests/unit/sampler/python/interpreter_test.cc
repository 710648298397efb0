#include "sampler/python/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include "sampler/python/python_process.h"
#include "sampler/python/thread_names.h"
#include "sampler/python/thread_numbers.h"
#include "tests/support/elf_image.h"
#include "tests/unit/sampler/python/fake_python.h"

namespace whyslow {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr uint64_t kBias = 0x400000;  // runtime address - ELF address
constexpr uint64_t kRuntime = 0x20000;
constexpr uint64_t kVersion = 0x8000;

// A file with these symbols in .dynsym, or in .symtab as well.
class InterpreterFile {
 public:
  explicit InterpreterFile(std::string path) : path_(std::move(path)) {}

  InterpreterFile& Add(const std::string& name, uint64_t address, uint64_t size = 16,
                       uint8_t type = STT_FUNC) {
    Elf64_Sym symbol{};
    symbol.st_name = static_cast<uint32_t>(names_.size());
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, type);
    symbol.st_shndx = 1;
    symbol.st_value = address;
    symbol.st_size = size;
    names_ += name + '\0';
    rows_ += BytesOf(symbol);
    return *this;
  }
  InterpreterFile& AddRuntime() { return Add("_PyRuntime", kRuntime, 1000, STT_OBJECT); }
  InterpreterFile& AddLoop() { return Add("_PyEval_EvalFrameDefault", 0x5000, 0x900); }
  InterpreterFile& AddConstants(const std::string& bytes) {
    constants_ = bytes;
    return *this;
  }

  Mapping Map(bool has_all_symbols = false) const {
    ElfImage image;
    image.sections.push_back({.name = ".dynstr", .type = SHT_STRTAB, .bytes = names_});
    image.sections.push_back({.name = ".dynsym",
                              .type = SHT_DYNSYM,
                              .bytes = rows_,
                              .link = 1,
                              .entry_size = sizeof(Elf64_Sym)});
    image.sections.push_back({.name = ".rodata", .bytes = constants_});
    if (has_all_symbols) {
      image.sections.push_back({.name = ".symtab",
                                .type = SHT_SYMTAB,
                                .bytes = rows_,
                                .link = 1,
                                .entry_size = sizeof(Elf64_Sym)});
    }
    return {.start = RuntimeAddress(kBias + 0x1000),
            .end = RuntimeAddress(kBias + 0x10000),
            .kind = MappingKind::kFile,
            .module = std::make_shared<const ModuleFile>(path_,
                                                         *ElfFile::FromBytes(image.Build(), path_)),
            .elf_bias = 0 - kBias};
  }

 private:
  std::string path_;
  std::string names_ = std::string(1, '\0');
  std::string rows_ = BytesOf(Elf64_Sym{});
  std::string constants_;
};

std::string ProblemOf(const InterpreterFile& file, const FakeMemory& memory = {}) {
  return std::string(FindInterpreter(file.Map(), memory).status().message());
}

TEST(FindInterpreter, OtherFilesHaveNone) {
  const auto found =
      FindInterpreter(InterpreterFile("/lib/libc.so").Add("main", 1).Map(), FakeMemory());

  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->has_value());
  EXPECT_FALSE(FindInterpreter({}, FakeMemory())->has_value());
}

TEST(FindInterpreter, OldVersionsAreKnownByTheNameOfTheFile) {
  for (const char* path :
       {"/usr/lib/libpython3.9.so.1.0", "/usr/bin/python3.9", "libpython3.9.so"}) {
    const auto found =
        FindInterpreter(InterpreterFile(path).AddRuntime().AddLoop().Map(), FakeMemory());

    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ((*found)->layout.version, 0x03090000U);
    EXPECT_EQ((*found)->runtime, RuntimeAddress(kBias + kRuntime));
    EXPECT_EQ((*found)->layout.walk.interpreters, kBias + kRuntime + 32);
  }
}

TEST(FindInterpreter, OrByTheConstantsOfAnEmbeddingProgram) {
  const std::string constants("x\0cpython-38\0/opt/3.8.18\0", 25);
  const auto found = FindInterpreter(
      InterpreterFile("/usr/bin/uwsgi").AddRuntime().AddLoop().AddConstants(constants).Map(),
      FakeMemory());

  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(PythonVersionText((*found)->layout.version), "3.8.18");
}

TEST(FindInterpreter, NewerOnesSayTheirVersionInMemory) {
  FakeMemory memory;
  memory.PutValue(kBias + kVersion, uint64_t{0x030b02f0});
  const auto found = FindInterpreter(
      InterpreterFile("/usr/bin/uwsgi").AddRuntime().AddLoop().Add("Py_Version", kVersion).Map(),
      memory);

  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)->layout.version, 0x030b02f0U);
}

TEST(FindInterpreter, TheNewestInTheirTableOfOffsets) {
  FakeMemory memory;
  const std::vector<std::byte> table = DebugOffsets314();
  memory.Put(kBias + kRuntime, table.data(), table.size());
  const auto found =
      FindInterpreter(InterpreterFile("/usr/bin/uwsgi").AddRuntime().AddLoop().Map(), memory);

  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(PythonVersionText((*found)->layout.version), "3.14.10");
  EXPECT_EQ((*found)->layout.walk.interpreters, kBias + kRuntime + 808);
}

TEST(FindInterpreter, TheLoopHasSeveralParts) {
  InterpreterFile file("/usr/bin/python3.9");
  file.AddRuntime().AddLoop().Add("_PyEval_EvalFrameDefault.cold", 0x3000, 8);
  file.Add("_PyEval_EvalFrameDefaultish", 0x3100).Add("_TAIL_CALL_NOP", 0x3200);
  const auto stripped = FindInterpreter(file.Map(), FakeMemory());
  const auto whole = FindInterpreter(file.Map(/*has_all_symbols=*/true), FakeMemory());

  ASSERT_TRUE(stripped.ok() && whole.ok());
  ASSERT_THAT((*whole)->loop, SizeIs(3));
  EXPECT_EQ((*whole)->loop[0].elf, ElfAddress(0x5000));
  EXPECT_EQ((*whole)->loop[0].runtime, RuntimeAddress(kBias + 0x5000));
  EXPECT_TRUE((*whole)->loop[0].Contains(RuntimeAddress(kBias + 0x58ff)));
  EXPECT_FALSE((*whole)->loop[0].Contains(RuntimeAddress(kBias + 0x5900)));
  EXPECT_FALSE((*whole)->loop[0].Contains(RuntimeAddress(kBias + 0x4fff)));
  EXPECT_TRUE((*whole)->is_loop_complete);
  EXPECT_FALSE((*stripped)->is_loop_complete);
}

TEST(FindInterpreter, UnknownVersionsAreNamed) {
  EXPECT_EQ(ProblemOf(InterpreterFile("/lib/libpython3.7m.so.1.0").AddRuntime().AddLoop()),
            "Python 3.7: this version's memory layout is unknown");
  EXPECT_EQ(ProblemOf(InterpreterFile("/lib/libpython3.6m.so.1.0").AddLoop()),
            "Python 3.6: this version's memory layout is unknown");
  EXPECT_EQ(ProblemOf(InterpreterFile("/bin/python2.7").Add("PyEval_EvalFrameEx", 0x5000)),
            "Python 2.7: this version's memory layout is unknown");
  EXPECT_EQ(ProblemOf(InterpreterFile("/bin/thing").AddRuntime()),
            "Python of unknown version: this version's memory layout is unknown");
  EXPECT_EQ(ProblemOf(InterpreterFile("/bin/python3.14").AddRuntime()),
            "Python 3.14: its table of offsets cannot be read");
}

TEST(PythonLayout, ATableWithImpossibleOffsetsIsNotUsed) {
  for (const size_t word : {8, 24, 26, 32, 33, 34, 36, 40, 41, 44, 48, 78}) {
    std::vector<std::byte> table = DebugOffsets314();
    table[word * 8 + 4] = std::byte{1};

    EXPECT_FALSE(PythonLayoutOf(0, table).ok()) << word;
  }
}

TEST(PythonLayout, BuildsWithoutTheGlobalLockAreNotRead) {
  std::vector<std::byte> table = DebugOffsets314();
  table[16] = std::byte{1};

  EXPECT_THAT(std::string(PythonLayoutOf(0, table).status().message()),
              HasSubstr("without the global lock"));
}

TEST(PythonLayout, OneReadCoversWhatAWalkWantsOfACodeObjectAndOfAFrame) {
  for (const uint32_t version :
       {0x030812f0U, 0x030912f0U, 0x030a0df0U, 0x030b02f0U, 0x030c01f0U, 0x030e0af0U}) {
    const PythonLayout layout = FakePython::OfVersion(version).layout;
    const python_walk_layout& walk = layout.walk;

    EXPECT_EQ(walk.code_begin + walk.code_names, layout.code_file);
    EXPECT_EQ(walk.code_begin + walk.code_names + 8, layout.code_name);
    EXPECT_EQ(walk.code_begin + walk.code_size, layout.code_name + 8);
    EXPECT_LE(walk.code_size, PYTHON_MOST_CODE_SIZE);
    EXPECT_LE(walk.frame_size, PYTHON_MOST_FRAME_SIZE);
    EXPECT_GE(walk.frame_size, walk.frame_previous + 8);
    EXPECT_GE(walk.frame_size, walk.frame_code + 8);
    EXPECT_GE(walk.frame_size, walk.frame_instruction + walk.instruction_bytes);
    EXPECT_GT(walk.frame_size, walk.frame_entry);
  }
}

TEST(PythonLayout, VersionsAreWrittenAsPythonDoes) {
  EXPECT_EQ(PythonVersionText(0x030b02f0), "3.11.2");
  EXPECT_EQ(PythonVersionText(0x030f00c1), "3.15.0rc1");
  EXPECT_EQ(PythonVersionText(0x030f00a7), "3.15.0a7");
  EXPECT_EQ(PythonVersionText(0x03090000), "3.9");
}

struct Scene {
  explicit Scene(uint32_t version) : python(FakePython::OfVersion(version)) {
    interpreter.layout = python.layout;
  }

  FakePython python;
  Interpreter interpreter;

  // A thread in one function of a file.
  void Start(uint64_t code) {
    const uint64_t state = python.AddInterpreter();
    python.AddThread(state, 0x7000, python.AddFrame(code, 0, 1), static_cast<uint64_t>(getpid()));
  }
  absl::StatusOr<InterpreterState> Check() { return CheckInterpreter(interpreter, python.memory); }
};

TEST(CheckInterpreter, BeforeItsStartItIsNotReady) {
  Scene scene(0x030b02f0);
  EXPECT_EQ(*scene.Check(), InterpreterState::kNotReady);
  scene.python.AddThread(scene.python.AddInterpreter(), 0x7000, 0);
  EXPECT_EQ(*scene.Check(), InterpreterState::kNotReady);
}

TEST(CheckInterpreter, WhatHoldsMakesItReady) {
  for (const uint32_t version : {0x030812f0U, 0x030b02f0U, 0x030c01f0U, 0x030e0af0U}) {
    Scene scene(version);
    scene.Start(scene.python.AddCode({}));

    ASSERT_TRUE(scene.Check().ok()) << scene.Check().status();
    EXPECT_EQ(*scene.Check(), InterpreterState::kReady);
    EXPECT_EQ(scene.interpreter.code_type, RuntimeAddress(scene.python.code_type));
  }
}

TEST(CheckInterpreter, OtherTypesThanCodeAreAnError) {
  Scene scene(0x030b02f0);
  const uint64_t code = scene.python.AddCode({});
  scene.python.memory.PutValue(code + scene.python.layout.object_type, scene.python.text_type);
  scene.Start(code);

  EXPECT_EQ(scene.Check().status().message(),
            "Python 3.11.2: its memory is not laid out as that version's: a frame has no code "
            "object");
}

TEST(CheckInterpreter, NamesThatAreNoTextAreAnError) {
  Scene scene(0x030b02f0);
  const uint64_t code = scene.python.AddCode({});
  scene.python.memory.PutValue(code + scene.python.layout.code_name, code);
  scene.Start(code);

  EXPECT_THAT(std::string(scene.Check().status().message()), HasSubstr("names are no text"));
}

TEST(CheckInterpreter, AThreadOfAnotherInterpreterIsAnError) {
  Scene scene(0x030b02f0);
  const uint64_t state = scene.python.AddInterpreter();
  const uint64_t thread =
      scene.python.AddThread(state, 1, scene.python.AddFrame(scene.python.AddCode({}), 0, 1));
  scene.python.memory.PutValue(thread + scene.python.layout.thread_interpreter, uint64_t{0x1234});

  EXPECT_THAT(std::string(scene.Check().status().message()), HasSubstr("interpreter"));
}

TEST(ThreadNumbers, OnlyThreadsOfTheProcessCount) {
  ThreadNumbers numbers{Pid{getpid()}};
  FakeMemory memory;
  const PythonThread own{.native_id = static_cast<uint64_t>(gettid())};
  EXPECT_EQ(numbers.Find(own, memory), std::nullopt) << "not read yet";

  numbers.Refresh();

  EXPECT_EQ(numbers.Find(own, memory), Tid{gettid()});
  EXPECT_EQ(numbers.Find({.native_id = 1}, memory), std::nullopt);
  EXPECT_EQ(numbers.Find({.native_id = ~uint64_t{0}}, memory), std::nullopt);
}

TEST(PythonProcess, ProblemsNameTheProcess) {
  const Mapping mapping = InterpreterFile("/lib/libpython3.7m.so.1.0").AddRuntime().AddLoop().Map();

  EXPECT_EQ(PythonProcess::Open(Pid{12}, mapping, FakeMemory()).status().message(),
            "Python 3.7 of process 12: this version's memory layout is unknown: native frames "
            "only");
}

TEST(PythonProcess, AThreadIsFoundByItsNumberAndWalked) {
  FakePython python = FakePython::OfVersion(0x030b02f0);
  const Mapping mapping =
      InterpreterFile("/bin/x").AddRuntime().AddLoop().Add("Py_Version", kVersion).Map();
  python.memory.PutValue(kBias + kVersion, uint64_t{0x030b02f0});
  python.layout.walk.interpreters = kBias + kRuntime + python.layout.interpreters_head;
  python.memory.PutValue(python.layout.walk.interpreters, uint64_t{0});
  const uint64_t code = python.AddCode({});
  const uint64_t interpreter = python.AddInterpreter();
  const auto tid = static_cast<uint64_t>(gettid());
  python.AddThread(interpreter, 0x7000, 0, tid);
  python.AddThread(python.AddInterpreter(), 0x7000, python.AddFrame(code, 0, 1), tid);
  python.AddThread(interpreter, 0x7000, 0, tid);
  auto process = PythonProcess::Open(Pid{getpid()}, mapping, python.memory);
  ASSERT_TRUE(process.ok() && *process != nullptr);
  ASSERT_EQ(*(*process)->Check(), InterpreterState::kReady);

  const auto frames = (*process)->WalkThread(Tid{gettid()});

  ASSERT_TRUE(frames.has_value());
  ASSERT_THAT(*frames, SizeIs(1)) << "of its states, the one with a frame counts";
  EXPECT_EQ((*process)->Resolve(*frames)[0].function->name, "Class.function");
  EXPECT_EQ((*process)->NameOfThread(Tid{gettid()}), std::nullopt);
  EXPECT_EQ((*process)->WalkThread(Tid{1}), std::nullopt);
  EXPECT_EQ((*process)->rejections().rejected, 0U);
}

}  // namespace
}  // namespace whyslow
