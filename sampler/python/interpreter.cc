#include "sampler/python/interpreter.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "base/status.h"
#include "base/text.h"
#include "elf/symbol_lookup.h"
#include "sampler/python/objects.h"
#include "sampler/python/thread_walk.h"

namespace whyslow {
namespace {

constexpr std::string_view kRuntime = "_PyRuntime";
constexpr std::string_view kVersion = "Py_Version";
constexpr std::string_view kLoop = "_PyEval_EvalFrameDefault";
constexpr std::string_view kOldLoop = "PyEval_EvalFrameEx";  // 2.7 to 3.5, and a wrapper since
// The interpreter that calls its instructions instead of jumping to them names them like this.
constexpr std::string_view kLoopPart = "_TAIL_CALL_";

bool IsLoop(std::string_view name) {
  return name.starts_with(kLoopPart) ||
         (name.starts_with(kLoop) && (name.size() == kLoop.size() || name[kLoop.size()] == '.'));
}

bool IsWanted(std::string_view name) {
  return name == kRuntime || name == kVersion || name == kOldLoop || IsLoop(name);
}

const NamedSymbol* Find(const std::vector<NamedSymbol>& symbols, std::string_view name) {
  const auto found = std::ranges::find(symbols, name, &NamedSymbol::name);
  return found == symbols.end() ? nullptr : &*found;
}

// What a file tells of the interpreter in it.
struct InterpreterSymbols {
  std::vector<NamedSymbol> all;
  bool has_all_parts = false;
};

// The names are exported to extension modules, so the large table is read only for the parts of the
// loop, or where nothing is exported.
InterpreterSymbols FindSymbols(const ElfFile& elf) {
  InterpreterSymbols symbols;
  symbols.all = FindSymbolsByName(elf, ".dynsym", IsWanted);
  const bool may_have = !symbols.all.empty() || elf.FindSection(".dynsym") == nullptr ||
                        elf.FindSection(".PyRuntime") != nullptr;
  if (may_have && elf.FindSection(".symtab") != nullptr) {
    std::vector<NamedSymbol> more = FindSymbolsByName(elf, ".symtab", IsWanted);
    symbols.has_all_parts = Find(more, kLoop) != nullptr;
    symbols.all.insert(symbols.all.end(), more.begin(), more.end());
  }
  return symbols;
}

// "3.8" behind the last "python" of a file's name: libpython3.8.so.1.0, python3.9, python3.7m.
uint32_t VersionInName(std::string_view path) {
  const size_t slash = path.rfind('/');
  std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const size_t at = name.rfind("python");
  if (at == std::string_view::npos) {
    return 0;
  }
  name.remove_prefix(at + 6);
  const auto major = ToNumber<uint32_t>(TakeWord(name, "."));
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const auto minor = ToNumber<uint32_t>(name.substr(0, digits));
  return major && minor && *major < 256 && *minor < 256 ? *major << 24 | *minor << 16 : 0;
}

// "cpython-38" or "cpython-310", which names compiled files: each CPython has it in its constants.
uint32_t VersionInConstants(std::string_view constants) {
  constexpr std::string_view kTag = "cpython-3";
  for (size_t at = constants.find(kTag); at != std::string_view::npos;
       at = constants.find(kTag, at + 1)) {
    const std::string_view rest = constants.substr(at + kTag.size(), 2);
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (const auto minor = ToNumber<uint32_t>(rest.substr(0, digits))) {
      return 3U << 24 | *minor << 16;
    }
  }
  return 0;
}

// The patch release of this minor one: "3.8.18" at the end of a text. Linkers keep a text that
// others end with (the folder it was built for, say) only once.
uint32_t PatchInConstants(std::string_view constants, uint32_t version) {
  const std::string start = absl::StrCat(PythonVersionText(version), ".");
  for (size_t at = constants.find(start); at != std::string_view::npos;
       at = constants.find(start, at + 1)) {
    const bool is_start =
        at == 0 || (std::isdigit(static_cast<unsigned char>(constants[at - 1])) == 0 &&
                    constants[at - 1] != '.');
    const std::string_view rest = constants.substr(at + start.size(), 4);
    const auto patch = ToNumber<uint32_t>(rest.substr(0, rest.find('\0')));
    if (is_start && patch && *patch < 256) {
      return version | *patch << 8 | 0xf0;
    }
  }
  return version;
}

// For interpreters that do not tell their version in memory: up to 3.10.
uint32_t VersionInFile(const ModuleFile& module) {
  const ElfFile& elf = *module.elf();
  const ElfSection* section = elf.FindSection(".rodata");
  uint32_t version = VersionInName(module.path());
  constexpr uint64_t kMostConstants = uint64_t{256} << 20;
  if (section == nullptr || section->size > kMostConstants) {
    return version;
  }
  const absl::StatusOr<SectionBytes> bytes = elf.ReadSection(*section);
  if (!bytes.ok()) {
    return version;
  }
  const std::string_view constants(reinterpret_cast<const char*>(bytes->bytes().data()),
                                   bytes->size());
  if (version == 0) {
    version = VersionInConstants(constants);
  }
  return version == 0 ? 0 : PatchInConstants(constants, version);
}

// The first word of the version that is not laid out in a known way.
absl::Status Unreadable(uint32_t version, std::string_view why) {
  const std::string name =
      version == 0 ? "Python of unknown version" : "Python " + PythonVersionText(version);
  return MakeStatus(absl::StatusCode::kUnimplemented,
                    absl::StrCat(name, ": ", absl::string_view(why.data(), why.size())));
}

void AddLoop(const InterpreterSymbols& symbols, const Mapping& mapping, Interpreter& interpreter) {
  for (const NamedSymbol& symbol : symbols.all) {
    const CodeRange range{
        .elf = symbol.address, .runtime = mapping.ToRuntime(symbol.address), .size = symbol.size};
    const auto same = [&range](const CodeRange& other) { return other.elf == range.elf; };
    if (symbol.is_code && symbol.size != 0 && IsLoop(symbol.name) &&
        std::ranges::none_of(interpreter.loop, same)) {
      interpreter.loop.push_back(range);
    }
  }
  interpreter.is_loop_complete = symbols.has_all_parts;
}

}  // namespace

absl::StatusOr<std::optional<Interpreter>> FindInterpreter(const Mapping& mapping,
                                                           const TargetMemory& memory) {
  if (mapping.module == nullptr || mapping.module->elf() == nullptr) {
    return std::nullopt;
  }
  const InterpreterSymbols symbols = FindSymbols(*mapping.module->elf());
  const bool has_loop =
      Find(symbols.all, kLoop) != nullptr || Find(symbols.all, kOldLoop) != nullptr;
  const NamedSymbol* runtime = Find(symbols.all, kRuntime);
  if (!has_loop && runtime == nullptr) {
    return std::nullopt;
  }
  if (runtime == nullptr) {
    return Unreadable(VersionInFile(*mapping.module), "this version's memory layout is unknown");
  }
  Interpreter interpreter;
  interpreter.runtime = mapping.ToRuntime(runtime->address);
  std::array<std::byte, kPythonDebugOffsetsSize> buffer;
  const size_t size = memory.Read(interpreter.runtime, buffer);
  const std::span<const std::byte> head = std::span(buffer).first(size);
  uint32_t version = PythonVersionIn(head);
  if (const NamedSymbol* symbol = Find(symbols.all, kVersion); version == 0 && symbol != nullptr) {
    version = static_cast<uint32_t>(
        memory.ReadValue<uint64_t>(mapping.ToRuntime(symbol->address)).value_or(0));
  }
  if (version == 0) {
    version = VersionInFile(*mapping.module);
  }
  absl::StatusOr<PythonLayout> layout = PythonLayoutOf(version, head);
  if (!layout.ok()) {
    const absl::string_view why = layout.status().message();
    return Unreadable(version, std::string_view(why.data(), why.size()));
  }
  interpreter.layout = *std::move(layout);
  interpreter.layout.walk.runtime_begin = interpreter.runtime.value();
  interpreter.layout.walk.runtime_end = interpreter.runtime.value() + runtime->size;
  interpreter.layout.walk.interpreters =
      (interpreter.runtime + interpreter.layout.interpreters_head).value();
  AddLoop(symbols, mapping, interpreter);
  return interpreter;
}

namespace {

// Empty: all holds.
std::string_view WhatIsWrong(const PythonObjects& objects, const PythonThread& thread,
                             RuntimeAddress& code_type) {
  if (thread.owner != thread.interpreter) {
    return "a thread state does not know its interpreter";
  }
  const PythonWalk walk = WalkPythonThread(objects, thread);
  if (walk.frames.empty()) {
    return "a thread's frame cannot be read";
  }
  const PythonWalkStep& first = *std::ranges::find(walk.steps, false, &PythonWalkStep::is_own);
  if (objects.NameOfType(first.code_type) != "code") {
    return Text(PythonWalkFault::kNoCode);
  }
  const PythonWalkFault fault = CheckPythonWalk(objects, first.code_type, thread, walk);
  if (fault != PythonWalkFault::kNone) {
    return Text(fault);
  }
  const PythonLayout& layout = objects.layout();
  for (const uint16_t offset : {layout.code_file, layout.code_name}) {
    const auto text = objects.ReadPointer(first.code + offset);
    const auto name = text ? objects.ReadText(*text) : std::nullopt;
    if (!name || name->empty()) {
      return "a code object's names are no text";
    }
  }
  code_type = first.code_type;
  return {};
}

}  // namespace

absl::StatusOr<InterpreterState> CheckInterpreter(Interpreter& interpreter,
                                                  const TargetMemory& memory) {
  constexpr int kTries = 8;
  constexpr size_t kThreadsATry = 16;
  const PythonObjects objects(memory, interpreter.layout);
  std::string_view wrong;
  // Threads run on while they are read, so one that fails tells nothing; all of them do.
  for (int i = 0; i < kTries; ++i) {
    size_t tried = 0;
    for (const PythonThread& thread : ListPythonThreads(objects)) {
      if (thread.frame.value() == 0 || tried == kThreadsATry) {
        continue;
      }
      ++tried;
      wrong = WhatIsWrong(objects, thread, interpreter.code_type);
      if (wrong.empty()) {
        return InterpreterState::kReady;
      }
    }
    if (tried == 0 && wrong.empty()) {
      return InterpreterState::kNotReady;
    }
  }
  return Unreadable(interpreter.layout.version,
                    absl::StrCat("its memory is not laid out as that version's: ",
                                 absl::string_view(wrong.data(), wrong.size())));
}

}  // namespace whyslow
