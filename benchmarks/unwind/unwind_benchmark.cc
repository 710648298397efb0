// How long one stack takes, warm, and how long the table of a module takes to compile.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sampler/unwind/cfi_table.h"
#include "sampler/unwind/stack_unwinder.h"

namespace whyslow {
namespace {

// This process's own state, as a sample would hold it.
struct Capture {
  UserRegisters registers;
  std::vector<std::byte> stack;
  AddressSpace space;
};

AddressSpace OwnAddressSpace() {
  AddressSpace space;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t start = 0, end = 0, offset = 0;
    std::array<char, 8> permissions{};
    std::array<char, 512> path{};
    if (std::sscanf(line.c_str(), "%lx-%lx %7s %lx %*s %*s %511s", &start, &end, permissions.data(),
                    &offset, path.data()) != 5 ||
        permissions[2] != 'x' || path[0] != '/') {
      continue;
    }
    auto module = std::make_shared<ModuleFile>(path.data(), UniqueFd(open(path.data(), O_RDONLY)),
                                               ModuleIdentity{});
    if (module->elf() == nullptr) {
      continue;
    }
    for (const ElfSegment& segment : module->elf()->segments()) {
      if (segment.executable() && segment.file_offset < offset + (end - start) &&
          offset < segment.file_offset + segment.file_size) {
        space.Add({.start = RuntimeAddress(start),
                   .end = RuntimeAddress(end),
                   .file_offset = offset,
                   .kind = MappingKind::kFile,
                   .module = module,
                   .elf_bias = segment.address.value() - segment.file_offset + offset - start});
      }
    }
  }
  return space;
}

__attribute__((noinline)) void TakeCapture(Capture& capture) {
  ucontext_t context;
  getcontext(&context);
#if defined(__x86_64__)
  constexpr std::array<int, 17> kOrder = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                          REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                          REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  for (size_t i = 0; i < kOrder.size(); ++i) {
    capture.registers.Set(static_cast<uint8_t>(i),
                          static_cast<uint64_t>(context.uc_mcontext.gregs[kOrder[i]]));
  }
#else
  for (uint8_t i = 0; i < 31; ++i) {
    capture.registers.Set(i, context.uc_mcontext.regs[i]);
  }
  capture.registers.Set(arm64::kSp, context.uc_mcontext.sp);
  capture.registers.Set(arm64::kPc, context.uc_mcontext.pc);
#endif
  const auto* start = reinterpret_cast<const std::byte*>(*capture.registers.sp());
  capture.stack.assign(start, start + 16384);
}

// Each a function of its own, with a frame of its own size.
template <int kDepth>
__attribute__((noinline)) int Descend(Capture& capture, volatile int* sink) {
  std::array<int, kDepth % 7 + 1> local{};
  benchmark::DoNotOptimize(local.data());
  local[0] = *sink + kDepth;
  if constexpr (kDepth == 0) {
    TakeCapture(capture);
  } else {
    *sink = Descend<kDepth - 1>(capture, sink) + local[0];
  }
  return local[0];
}

Capture MakeCapture() {
  Capture capture;
  volatile int sink = 0;
  Descend<31>(capture, &sink);
  capture.space = OwnAddressSpace();
  return capture;
}

void BmUnwind(benchmark::State& state, UnwindMode mode) {
  const Capture capture = MakeCapture();
  StackUnwinder unwinder(mode);
  NativeStack stack;
  const StackCopy memory(RuntimeAddress(*capture.registers.sp()), capture.stack);
  for (auto _ : state) {
    unwinder.Unwind(capture.registers, capture.space, memory, stack);
    benchmark::DoNotOptimize(stack.frames.data());
  }
  state.counters["frames"] = static_cast<double>(stack.frames.size());
  state.SetLabel(stack.end == StackEnd::kRoot ? "complete" : std::string(ReasonFor(stack.end)));
}
BENCHMARK_CAPTURE(BmUnwind, cfi, UnwindMode::kDwarf);
BENCHMARK_CAPTURE(BmUnwind, auto, UnwindMode::kAuto);

// The module named by WHYSLOW_BENCHMARK_MODULE, else this program.
void BmCompileTable(benchmark::State& state) {
  const char* named = std::getenv("WHYSLOW_BENCHMARK_MODULE");
  const std::string path = named != nullptr ? named : "/proc/self/exe";
  absl::StatusOr<ElfFile> elf = ElfFile::Open(UniqueFd(open(path.c_str(), O_RDONLY)), path);
  if (!elf.ok()) {
    state.SkipWithError("the module cannot be opened");
    return;
  }
  size_t rows = 0;
  size_t rules = 0;
  for (auto _ : state) {
    const CfiTable table = CfiTable::FromElf(*elf);
    rows = table.row_count();
    rules = table.rules().rules.size();
  }
  state.counters["file_MB"] = static_cast<double>(elf->file_size()) / 1e6;
  state.counters["rows"] = static_cast<double>(rows);
  state.counters["rules"] = static_cast<double>(rules);
}
BENCHMARK(BmCompileTable)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace whyslow

BENCHMARK_MAIN();
