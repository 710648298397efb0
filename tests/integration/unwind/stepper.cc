#include "tests/integration/unwind/stepper.h"

#include <absl/strings/str_format.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>

#include "tests/integration/unwind/comparison.h"
#include "tests/integration/unwind/stopped_process.h"

namespace whyslow::testing {
namespace {

constexpr size_t kCopyBytes = 32'768;
constexpr size_t kMaxMistakes = 10;

// x86-64 instructions that move between frames.
enum class Flow { kNone, kCall, kReturn, kSignalReturn };

Flow FlowOf(std::array<uint8_t, 16> code, uint64_t rax) {
  size_t at = 0;
  while (at < 4 && (code[at] == 0xf2 || code[at] == 0xf3 || code[at] == 0x3e || code[at] == 0x66 ||
                    (code[at] & 0xf0) == 0x40)) {
    ++at;
  }
  if (code[at] == 0xe8 || (code[at] == 0xff && (code[at + 1] & 0x38) == 0x10)) {
    return Flow::kCall;
  }
  if (code[at] == 0xc3 || code[at] == 0xc2) {
    return Flow::kReturn;
  }
  if (code[at] == 0x0f && code[at + 1] == 0x05 && rax == 15) {
    return Flow::kSignalReturn;
  }
  return Flow::kNone;
}

class Stepper {
 public:
  Stepper(pid_t pid, UnwindMode mode) : pid_(pid), unwinder_(mode) {}

  StepReport Run(size_t max_steps) {
    if (!WaitForStart()) {
      return report_;
    }
    report_.started = true;
    TakeBase();
    int signal = 0;
    while (report_.steps < max_steps) {
      const std::optional<UserRegisters> before = ReadRegisters(pid_);
      if (!before) {
        break;
      }
      Check(*before);
      const Flow flow = signal == 0 ? FlowOf(CodeAt(*before->pc()), *before->Get(0)) : Flow::kNone;
      int status = 0;
      if (ptrace(PTRACE_SINGLESTEP, pid_, 0, signal) != 0 || waitpid(pid_, &status, 0) != pid_ ||
          !WIFSTOPPED(status)) {
        return report_;
      }
      const std::optional<UserRegisters> after = ReadRegisters(pid_);
      if (!after) {
        break;
      }
      Follow(*before, *after, flow, signal);
      signal = IsTrapOfOurs(status) ? 0 : WSTOPSIG(status);
    }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    return report_;
  }

 private:
  bool WaitForStart() {
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) {  // exec
      return false;
    }
    while (ptrace(PTRACE_CONT, pid_, 0, 0) == 0 && waitpid(pid_, &status, 0) == pid_ &&
           WIFSTOPPED(status)) {
      if (WSTOPSIG(status) == SIGSTOP) {
        return true;
      }
    }
    return false;
  }

  // int3 of the program is reported with another si_code than a step.
  bool IsTrapOfOurs(int status) const {
    siginfo_t info{};
    return WSTOPSIG(status) == SIGTRAP && ptrace(PTRACE_GETSIGINFO, pid_, 0, &info) == 0 &&
           info.si_code != SI_KERNEL;
  }

  std::array<uint8_t, 16> CodeAt(uint64_t pc) const {
    std::array<uint8_t, 16> code{};
    LiveMemory(Pid{pid_}).Read(RuntimeAddress(pc), std::as_writable_bytes(std::span(code)));
    return code;
  }
  uint64_t WordAt(uint64_t address) const {
    return LiveMemory(Pid{pid_}).ReadValue<uint64_t>(RuntimeAddress(address)).value_or(0);
  }

  std::vector<uint64_t> Unwind(const UserRegisters& registers) {
    const std::vector<std::byte> bytes = CopyStackOf(pid_, registers, kCopyBytes);
    unwinder_.Unwind(registers, space_, StackCopy(RuntimeAddress(*registers.sp()), bytes), stack_);
    if (stack_.end == StackEnd::kCopyEnded) {  // from an alternate stack to the other
      unwinder_.Unwind(registers, space_, LiveMemory(Pid{pid_}), stack_);
    }
    std::vector<uint64_t> pcs;
    for (const RuntimeCodeAddress& frame : stack_.frames) {
      pcs.push_back(frame.ip().value());
    }
    return pcs;
  }

  // The stack where stepping begins is ours; the caller judges it by its text.
  void TakeBase() {
    space_ = ReadAddressSpace(pid_, modules_);
    const std::optional<UserRegisters> registers = ReadRegisters(pid_);
    if (!registers) {
      return;
    }
    std::vector<uint64_t> pcs = Unwind(*registers);
    report_.base_end = stack_.end;
    for (const uint64_t pc : pcs) {
      report_.base += Describe(pc, space_) + "\n";
    }
    truth_.assign(pcs.rbegin(), pcs.rend());
    truth_.pop_back();  // the leaf moves
  }

  void Follow(const UserRegisters& before, const UserRegisters& after, Flow flow, int signal) {
    if (signal != 0) {
      // The handler's first instruction: the kernel pushed the trampoline's address.
      if (*after.pc() != *before.pc()) {
        truth_.push_back(*before.pc());
        truth_.push_back(WordAt(*after.sp()));
        ++report_.signals;
      }
    } else if (flow == Flow::kCall) {
      truth_.push_back(WordAt(*after.sp()));
    } else if (flow != Flow::kNone && !truth_.empty()) {
      // A return to elsewhere is a jump through the stack (the dynamic linker does it).
      if (flow == Flow::kSignalReturn || truth_.back() == *after.pc()) {
        truth_.pop_back();
      }
    }
  }

  void Check(const UserRegisters& registers) {
    if (space_.Find(RuntimeAddress(*registers.pc())) == nullptr) {
      space_ = ReadAddressSpace(pid_, modules_);
    }
    std::vector<uint64_t> expected = truth_;
    expected.push_back(*registers.pc());
    std::ranges::reverse(expected);
    const std::vector<uint64_t> ours = Unwind(registers);
    ++report_.steps;
    if (ours == expected) {
      ++report_.right;
    } else if (report_.mistakes.size() < kMaxMistakes) {
      std::string text = "ends: " + std::string(ReasonFor(stack_.end)) + "; code ";
      for (const uint8_t byte : CodeAt(*registers.pc())) {
        text += absl::StrFormat("%02x ", byte);
      }
      for (size_t i = 0; i < std::min<size_t>(std::max(ours.size(), expected.size()), 12); ++i) {
        text += absl::StrFormat("\n    ours %-40s truth %s",
                                i < ours.size() ? Describe(ours[i], space_) : "-",
                                i < expected.size() ? Describe(expected[i], space_) : "-");
      }
      report_.mistakes.push_back(text);
    }
  }

  pid_t pid_;
  StackUnwinder unwinder_;
  ModuleCache modules_;
  AddressSpace space_;
  NativeStack stack_;
  std::vector<uint64_t> truth_;  // root first, without the leaf
  StepReport report_;
};

}  // namespace

StepReport StepThrough(const std::vector<std::string>& command, size_t max_steps, UnwindMode mode) {
  const pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    std::vector<char*> arguments;
    for (const std::string& word : command) {
      arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  return Stepper(pid, mode).Run(max_steps);
}

}  // namespace whyslow::testing
