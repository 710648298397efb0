#include "tests/integration/unwind/oracles.h"

#include <elfutils/libdwfl.h>
#include <libunwind-ptrace.h>

namespace whyslow::testing {
namespace {

constexpr size_t kMaxFrames = 20'000;

}  // namespace

struct LibunwindOracle::Impl {
  unw_addr_space_t space = unw_create_addr_space(&_UPT_accessors, 0);
};

LibunwindOracle::LibunwindOracle() : impl_(std::make_unique<Impl>()) {
  unw_set_caching_policy(impl_->space, UNW_CACHE_NONE);
}
LibunwindOracle::~LibunwindOracle() { unw_destroy_addr_space(impl_->space); }

OracleStack LibunwindOracle::Unwind(pid_t tid) {
  OracleStack stack;
  void* state = _UPT_create(tid);
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, impl_->space, state) == 0) {
    do {
      unw_word_t pc = 0;
      if (unw_get_reg(&cursor, UNW_REG_IP, &pc) != 0 || pc == 0) {
        break;
      }
      stack.push_back(pc);
    } while (stack.size() < kMaxFrames && unw_step(&cursor) > 0);
  }
  _UPT_destroy(state);
  return stack;
}

struct LibdwOracle::Impl {
  Dwfl_Callbacks callbacks{};
  Dwfl* dwfl = nullptr;
};

LibdwOracle::LibdwOracle(pid_t pid) : impl_(std::make_unique<Impl>()) {
  impl_->callbacks.find_elf = dwfl_linux_proc_find_elf;
  // No separate debug files: they would let it know more than the running file says.
  impl_->callbacks.find_debuginfo = [](auto...) { return -1; };
  impl_->dwfl = dwfl_begin(&impl_->callbacks);
  dwfl_report_begin(impl_->dwfl);
  dwfl_linux_proc_report(impl_->dwfl, pid);
  dwfl_report_end(impl_->dwfl, nullptr, nullptr);
  dwfl_linux_proc_attach(impl_->dwfl, pid, /*assume_ptrace_stopped=*/true);
}
LibdwOracle::~LibdwOracle() { dwfl_end(impl_->dwfl); }

OracleStack LibdwOracle::Unwind(pid_t tid) {
  OracleStack stack;
  const auto on_frame = [](Dwfl_Frame* frame, void* arg) -> int {
    Dwarf_Addr pc = 0;
    bool is_activation = false;
    auto* out = static_cast<OracleStack*>(arg);
    if (!dwfl_frame_pc(frame, &pc, &is_activation) || pc == 0 || out->size() >= kMaxFrames) {
      return DWARF_CB_ABORT;
    }
    out->push_back(pc);
    return DWARF_CB_OK;
  };
  dwfl_getthread_frames(impl_->dwfl, tid, on_frame, &stack);
  return stack;
}

}  // namespace whyslow::testing
