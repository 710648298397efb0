// How long one stack takes, warm, beside other unwinders, and how long the table of a module takes
// to compile and to load.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "benchmarks/unwind/other_unwinders.h"
#include "sampler/target/target_memory.h"
#include "sampler/unwind/cfi_cache.h"
#include "sampler/unwind/cfi_table.h"
#include "sampler/unwind/stack_unwinder.h"

namespace whyslow {
namespace {

// This process's own state, as a sample would hold it.
struct Capture {
  ucontext_t context{};
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

// What to do with a capture while the frames that it shows are still there.
using Use = std::function<void(Capture&)>;

__attribute__((noinline)) void TakeCapture(const Use& use) {
  Capture capture;
  getcontext(&capture.context);
  const mcontext_t& machine = capture.context.uc_mcontext;
#if defined(__x86_64__)
  constexpr std::array<int, 17> kOrder = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                          REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                          REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  for (size_t i = 0; i < kOrder.size(); ++i) {
    capture.registers.Set(static_cast<uint8_t>(i), static_cast<uint64_t>(machine.gregs[kOrder[i]]));
  }
#else
  for (uint8_t i = 0; i < 31; ++i) {
    capture.registers.Set(i, machine.regs[i]);
  }
  capture.registers.Set(arm64::kSp, machine.sp);
  capture.registers.Set(arm64::kPc, machine.pc);
#endif
  // As much as the sampler copies up to 1,000 Hz; the stack may end before.
  capture.stack.resize(size_t{32} * 1024);
  capture.stack.resize(
      LiveMemory(Pid{getpid()}).Read(RuntimeAddress(*capture.registers.sp()), capture.stack));
  capture.space = OwnAddressSpace();
  use(capture);
}

// Each a function of its own, with a frame of its own size.
template <int kDepth>
__attribute__((noinline)) int Descend(const Use& use, volatile int* sink) {
  std::array<int, kDepth % 7 + 1> local{};
  benchmark::DoNotOptimize(local.data());
  local[0] = *sink + kDepth;
  if constexpr (kDepth == 0) {
    TakeCapture(use);
  } else {
    *sink = Descend<kDepth - 1>(use, sink) + local[0];
  }
  return local[0];
}

void WithCapture(const Use& use) {
  volatile int sink = 0;
  Descend<25>(use, &sink);
}

void BmUnwind(benchmark::State& state, UnwindMode mode) {
  WithCapture([&](Capture& capture) {
    StackUnwinder unwinder(mode);
    NativeStack stack;
    const StackCopy memory(RuntimeAddress(*capture.registers.sp()), capture.stack);
    for (auto _ : state) {
      unwinder.Unwind(capture.registers, capture.space, memory, stack);
      benchmark::DoNotOptimize(stack.frames.data());
    }
    state.counters["frames"] = static_cast<double>(stack.frames.size());
    state.SetLabel(stack.end == StackEnd::kRoot ? "complete" : std::string(ReasonFor(stack.end)));
  });
}
BENCHMARK_CAPTURE(BmUnwind, cfi, UnwindMode::kDwarf);
BENCHMARK_CAPTURE(BmUnwind, auto, UnwindMode::kAuto);

#if defined(WHYSLOW_OTHER_UNWINDERS)
void BmLibunwind(benchmark::State& state) {
  WithCapture([&](Capture& capture) {
    std::vector<uint64_t> frames;
    for (auto _ : state) {
      benchmark::DoNotOptimize(UnwindByLibunwind(capture.context, frames));
    }
    state.counters["frames"] = static_cast<double>(frames.size());
  });
}
BENCHMARK(BmLibunwind);

void BmLibunwindBacktrace(benchmark::State& state) {
  WithCapture([&](Capture& /*capture*/) {
    std::array<void*, 128> frames{};
    size_t count = 0;
    for (auto _ : state) {
      benchmark::DoNotOptimize(count = BacktraceByLibunwind(frames));
    }
    state.counters["frames"] = static_cast<double>(count);
  });
}
BENCHMARK(BmLibunwindBacktrace);

void BmLibdw(benchmark::State& state) {
  WithCapture([&](Capture& capture) {
    LibdwUnwinder unwinder(capture.registers, capture.stack);
    std::vector<uint64_t> frames;
    for (auto _ : state) {
      benchmark::DoNotOptimize(unwinder.Unwind(frames));
    }
    state.counters["frames"] = static_cast<double>(frames.size());
  });
}
BENCHMARK(BmLibdw);
#endif

// The module named by WHYSLOW_BENCHMARK_MODULE, else this program.
absl::StatusOr<ElfFile> OpenModule() {
  const char* named = std::getenv("WHYSLOW_BENCHMARK_MODULE");
  const std::string path = named != nullptr ? named : "/proc/self/exe";
  ASSIGN_OR_RETURN(UniqueFd fd, OpenReadOnly(path));
  return ElfFile::Open(std::move(fd), path);
}

void Describe(const ElfFile& elf, const CfiTable& table, benchmark::State& state) {
  state.counters["file_MB"] = static_cast<double>(elf.file_size()) / 1e6;
  state.counters["rows"] = static_cast<double>(table.row_count());
  state.counters["rules"] = static_cast<double>(table.rules().rules.size());
}

void BmCompileTable(benchmark::State& state) {
  const absl::StatusOr<ElfFile> elf = OpenModule();
  if (!elf.ok()) {
    state.SkipWithError("the module cannot be opened");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(CfiTable::FromElf(*elf).row_count());
  }
  Describe(*elf, CfiTable::FromElf(*elf), state);
}
BENCHMARK(BmCompileTable)->Unit(benchmark::kMillisecond);

// The same table from the cache on disk (in the page cache of the kernel, as soon after its use).
void BmLoadTable(benchmark::State& state) {
  const absl::StatusOr<ElfFile> elf = OpenModule();
  std::string folder = (std::filesystem::temp_directory_path() / "whyslow-bench-XXXXXX").string();
  if (!elf.ok() || mkdtemp(folder.data()) == nullptr) {
    state.SkipWithError("no module, or no place for a cache");
    return;
  }
  absl::StatusOr<std::unique_ptr<CfiCache>> cache = CfiCache::Open(folder, {.fewest_rows = 1});
  if (!cache.ok() || !CacheKeyOf(*elf)) {
    state.SkipWithError("the module cannot be cached");
    std::filesystem::remove_all(folder);
    return;
  }
  const CfiTable table = (*cache)->TableOf(*elf);
  for (auto _ : state) {
    benchmark::DoNotOptimize((*cache)->TableOf(*elf).row_count());
  }
  if ((*cache)->compiled() != 1) {
    state.SkipWithError("it was compiled again");
  }
  Describe(*elf, table, state);
  const std::string file = folder + "/unwind-" + CacheName(*CacheKeyOf(*elf));
  std::error_code none;
  state.counters["cached_MB"] = static_cast<double>(std::filesystem::file_size(file, none)) / 1e6;
  std::filesystem::remove_all(folder);
}
BENCHMARK(BmLoadTable)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace whyslow

BENCHMARK_MAIN();
