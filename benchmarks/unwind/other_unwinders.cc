#include "benchmarks/unwind/other_unwinders.h"

#include <elfutils/libdwfl.h>
#include <unistd.h>

#include <array>
#include <cstring>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

namespace whyslow {

size_t UnwindByLibunwind(ucontext_t& context, std::vector<uint64_t>& frames) {
  static const bool kCaches =
      unw_set_caching_policy(unw_local_addr_space, UNW_CACHE_PER_THREAD) == 0;
  unw_cursor_t cursor;
  frames.clear();
  if (!kCaches || unw_init_local(&cursor, &context) != 0) {
    return 0;
  }
  do {
    unw_word_t pc = 0;
    unw_get_reg(&cursor, UNW_REG_IP, &pc);
    if (pc == 0) {
      break;
    }
    frames.push_back(pc);
  } while (unw_step(&cursor) > 0);
  return frames.size();
}

size_t BacktraceByLibunwind(std::span<void*> frames) {
  const int count = unw_backtrace(frames.data(), static_cast<int>(frames.size()));
  return count > 0 ? static_cast<size_t>(count) : 0;
}

struct LibdwUnwinder::State {
  std::array<Dwarf_Word, x86::kRip + 1> registers{};
  Dwarf_Addr stack_start = 0;
  std::span<const std::byte> stack;
  Dwfl_Callbacks callbacks{};
  Dwfl_Thread_Callbacks thread_callbacks{};
  Dwfl* dwfl = nullptr;

  bool Read(Dwarf_Addr address, Dwarf_Word* result) const {
    if (address < stack_start || address - stack_start > stack.size() - sizeof(*result)) {
      return false;
    }
    std::memcpy(result, stack.data() + (address - stack_start), sizeof(*result));
    return true;
  }
};

LibdwUnwinder::LibdwUnwinder(const UserRegisters& registers, std::span<const std::byte> stack)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  for (uint8_t number = 0; number <= x86::kRip; ++number) {
    state.registers[number] = registers.Get(number).value_or(0);
  }
  state.stack_start = *registers.sp();
  state.stack = stack;
  state.callbacks.find_elf = dwfl_linux_proc_find_elf;
  state.callbacks.find_debuginfo = [](auto...) { return -1; };  // no more than the running files
  state.dwfl = dwfl_begin(&state.callbacks);
  dwfl_report_begin(state.dwfl);
  dwfl_linux_proc_report(state.dwfl, getpid());
  dwfl_report_end(state.dwfl, nullptr, nullptr);
  state.thread_callbacks.next_thread = [](Dwfl*, void* arg, void** thread_arg) -> pid_t {
    if (*thread_arg != nullptr) {
      return 0;
    }
    *thread_arg = arg;
    return getpid();
  };
  state.thread_callbacks.get_thread = [](Dwfl*, pid_t, void* arg, void** thread_arg) {
    *thread_arg = arg;
    return true;
  };
  state.thread_callbacks.memory_read = [](Dwfl*, Dwarf_Addr address, Dwarf_Word* result,
                                          void* arg) {
    return static_cast<State*>(arg)->Read(address, result);
  };
  state.thread_callbacks.set_initial_registers = [](Dwfl_Thread* thread, void* arg) {
    const auto& words = static_cast<State*>(arg)->registers;
    return dwfl_thread_state_registers(thread, 0, static_cast<unsigned>(words.size()),
                                       words.data());
  };
  dwfl_attach_state(state.dwfl, nullptr, getpid(), &state.thread_callbacks, &state);
}

LibdwUnwinder::~LibdwUnwinder() { dwfl_end(state_->dwfl); }

size_t LibdwUnwinder::Unwind(std::vector<uint64_t>& frames) {
  frames.clear();
  const auto on_frame = [](Dwfl_Frame* frame, void* arg) -> int {
    Dwarf_Addr pc = 0;
    if (!dwfl_frame_pc(frame, &pc, nullptr) || pc == 0) {
      return DWARF_CB_ABORT;
    }
    static_cast<std::vector<uint64_t>*>(arg)->push_back(pc);
    return DWARF_CB_OK;
  };
  dwfl_getthread_frames(state_->dwfl, getpid(), on_frame, &frames);
  return frames.size();
}

}  // namespace whyslow
