#include "tests/integration/unwind/stopped_process.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/file_io.h"
#include "base/unique_fd.h"

namespace whyslow::testing {

namespace {

// Mappings are whole pages: the segment may begin within the first one (lld lays files out so).
std::optional<uint64_t> BiasOf(const ElfFile& elf, uint64_t start, uint64_t end, uint64_t offset) {
  for (const ElfSegment& segment : elf.segments()) {
    if (segment.executable() && segment.file_offset < offset + (end - start) &&
        offset < segment.file_offset + segment.file_size) {
      return segment.address.value() - segment.file_offset + offset - start;
    }
  }
  return std::nullopt;
}

}  // namespace

ModuleFileRef ModuleCache::Open(pid_t pid, const std::string& path, uint64_t inode,
                                RuntimeAddress start, uint64_t size) {
  ModuleFileRef& module = modules_[{path, inode}];
  if (module != nullptr) {
    return module;
  }
  if (path == "[vdso]") {
    std::string image(size, '\0');
    LiveMemory memory(Pid{pid});
    memory.Read(start, std::as_writable_bytes(std::span(image.data(), image.size())));
    absl::StatusOr<ElfFile> elf = ElfFile::FromBytes(std::move(image), path);
    if (elf.ok()) {
      module = std::make_shared<ModuleFile>(path, *std::move(elf));
    }
    return module;
  }
  absl::StatusOr<UniqueFd> fd = OpenReadOnly("/proc/" + std::to_string(pid) + "/root" + path, true);
  ModuleIdentity identity = fd.ok() ? IdentityOf(*fd) : ModuleIdentity{};
  module = std::make_shared<ModuleFile>(path, fd.ok() ? *std::move(fd) : UniqueFd(),
                                        std::move(identity));
  return module;
}

AddressSpace ReadAddressSpace(pid_t pid, ModuleCache& modules) {
  AddressSpace space;
  const absl::StatusOr<std::string> maps = ReadFile("/proc/" + std::to_string(pid) + "/maps");
  if (!maps.ok()) {
    return space;
  }
  size_t at = 0;
  while (at < maps->size()) {
    const size_t line_end = std::min(maps->find('\n', at), maps->size());
    const std::string line = maps->substr(at, line_end - at);
    at = line_end + 1;
    uint64_t start = 0, end = 0, offset = 0, inode = 0;
    char permissions[8] = {};
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %7s %lx %*s %lu %n", &start, &end, permissions, &offset,
                    &inode, &path_at) < 5 ||
        permissions[2] != 'x') {
      continue;
    }
    const std::string path = line.substr(static_cast<size_t>(path_at));
    Mapping mapping{
        .start = RuntimeAddress(start), .end = RuntimeAddress(end), .file_offset = offset};
    if (path.starts_with('/') || path == "[vdso]") {
      mapping.module = modules.Open(pid, path, inode, mapping.start, end - start);
      const ElfFile* elf = mapping.module != nullptr ? mapping.module->elf() : nullptr;
      const std::optional<uint64_t> bias =
          elf != nullptr ? BiasOf(*elf, start, end, offset) : std::nullopt;
      if (bias) {
        mapping.kind = path == "[vdso]" ? MappingKind::kVdso : MappingKind::kFile;
        mapping.elf_bias = *bias;
      } else {
        mapping.module = nullptr;
      }
    }
    space.Add(std::move(mapping));
  }
  return space;
}

std::optional<UserRegisters> ReadRegisters(pid_t tid) {
#if defined(__x86_64__)
  user_regs_struct regs{};
  iovec into{&regs, sizeof(regs)};
  if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &into) != 0) {
    return std::nullopt;
  }
  UserRegisters result;
  const unsigned long long in_dwarf_order[] = {
      regs.rax, regs.rdx, regs.rcx, regs.rbx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8,
      regs.r9,  regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15, regs.rip};
#else
  user_regs_struct regs{};
  iovec into{&regs, sizeof(regs)};
  if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &into) != 0) {
    return std::nullopt;
  }
  UserRegisters result;
  unsigned long long in_dwarf_order[33];
  std::copy(regs.regs, regs.regs + 31, in_dwarf_order);
  in_dwarf_order[31] = regs.sp;
  in_dwarf_order[32] = regs.pc;
#endif
  uint8_t number = 0;
  for (const unsigned long long value : in_dwarf_order) {
    result.Set(number++, value);
  }
  return result;
}

std::vector<std::byte> CopyStackOf(pid_t tid, const UserRegisters& registers, size_t limit) {
  std::vector<std::byte> bytes(limit);
  const size_t got = LiveMemory(Pid{tid}).Read(RuntimeAddress(*registers.sp()), bytes);
  bytes.resize(got);
  return bytes;
}

std::optional<StoppedThread> StoppedThread::Stop(pid_t tid) {
  if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) {
    return std::nullopt;
  }
  StoppedThread thread(tid);
  int status = 0;
  if (ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0 ||
      waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status)) {
    return std::nullopt;
  }
  const std::optional<UserRegisters> registers = ReadRegisters(tid);
  if (!registers) {
    return std::nullopt;
  }
  thread.registers_ = *registers;
  return thread;
}

StoppedThread::StoppedThread(StoppedThread&& other) noexcept
    : tid_(std::exchange(other.tid_, 0)), registers_(other.registers_) {}

StoppedThread::~StoppedThread() {
  if (tid_ != 0) {
    ptrace(PTRACE_DETACH, tid_, nullptr, nullptr);
  }
}

std::vector<std::byte> StoppedThread::CopyStack(size_t limit) const {
  return CopyStackOf(tid_, registers_, limit);
}

}  // namespace whyslow::testing
