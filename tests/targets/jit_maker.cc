// Makes machine code at run time, without frame pointers, that calls back into C, and tells of it
// in a jitdump with unwind information:
//   main -> jit_outer (made) -> jit_between -> jit_inner (made) -> jit_callback
// Usage: jit_maker [SECONDS] [MODE] [FOLDER]; the dump is FOLDER/jit-PID.dump
//   cfi    unwind information for both
//   fp     frame pointers, and no unwind information
//   map    the same, told in FOLDER/perf-PID.map, without a dump
//   move   the code moves to another place every 100 ms
//   reuse  every 100 ms other code, with larger frames and another name, takes the same place
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <cstring>
#include <string>
#include <string_view>

#include "target_support.h"

namespace {

using Callback = void (*)();
using Made = void (*)(Callback);

class Bytes {
 public:
  template <class... Byte>
  Bytes& Put(Byte... bytes) {
    (text_.push_back(static_cast<char>(bytes)), ...);
    return *this;
  }
  template <class T>
  Bytes& Number(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    text_.append(raw, sizeof(T));
    return *this;
  }
  Bytes& Text(std::string_view text) {
    text_.append(text);
    return *this;
  }
  // One to four bytes, as DWARF writes unsigned numbers.
  Bytes& Uleb(uint32_t value) {
    for (; value >= 0x80; value >>= 7) {
      Put(value | 0x80);
    }
    return Put(value);
  }
  size_t size() const { return text_.size(); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

constexpr uint32_t kRounds = 20'000;  // of the loop in the made code itself

// A frame of `frame` bytes (a multiple of 16); %rbp is saved and then holds something that leads
// nowhere, so that only CFI leads on.
std::string CodeWithoutFramePointer(uint32_t frame) {
  Bytes code;
  code.Put(0x55);                                      // 0   push %rbp
  code.Put(0xbd).Number<uint32_t>(0x1234);             // 1   mov $0x1234,%ebp
  code.Put(0x48, 0x81, 0xec).Number<uint32_t>(frame);  // 6   sub $frame,%rsp
  code.Put(0xb9).Number<uint32_t>(kRounds);            // 13  mov $rounds,%ecx
  code.Put(0xff, 0xc9, 0x75, 0xfc);                    // 18  dec %ecx; jnz 18
  code.Put(0xff, 0xd7);                                // 22  call *%rdi
  code.Put(0x48, 0x81, 0xc4).Number<uint32_t>(frame);  // 24  add $frame,%rsp
  code.Put(0x5d, 0xc3);                                // 31  pop %rbp; ret
  return code.text();
}

std::string CodeWithFramePointer() {
  Bytes code;
  code.Put(0x55, 0x48, 0x89, 0xe5);          // push %rbp; mov %rsp,%rbp
  code.Put(0xb9).Number<uint32_t>(kRounds);  // mov $rounds,%ecx
  code.Put(0xff, 0xc9, 0x75, 0xfc);          // dec %ecx; jnz
  code.Put(0xff, 0xd7, 0x5d, 0xc3);          // call *%rdi; pop %rbp; ret
  return code.text();
}

std::string Padded(std::string body) {
  while ((body.size() + 4) % 8 != 0) {
    body.push_back(0);  // DW_CFA_nop
  }
  return Bytes().Number(static_cast<uint32_t>(body.size())).Text(body).text();
}

// .eh_frame for CodeWithoutFramePointer, to lie behind the code at the next multiple of 8 bytes.
std::string EhFrameFor(size_t code_size, uint32_t frame) {
  Bytes common;
  common.Number<uint32_t>(0).Put(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b);
  common.Put(0x0c, 7, 8, 0x90, 1);  // the CFA is rsp + 8, the return address below it
  const std::string first = Padded(common.text());
  const size_t aligned = (code_size + 7) / 8 * 8;
  Bytes function;
  function.Number(static_cast<uint32_t>(first.size() + 4));
  function.Number(-static_cast<int32_t>(aligned + first.size() + 8));  // the code, from here
  function.Number(static_cast<uint32_t>(code_size)).Put(0);
  function.Put(0x40 | 1, 0x0e, 16, 0x86, 2);             // at 1: rbp is at CFA - 16
  function.Put(0x40 | 12, 0x0e).Uleb(16 + frame);        // at 13
  function.Put(0x40 | 18, 0x0e, 16, 0x40 | 1, 0x0e, 8);  // at 31 and 32
  return Bytes().Text(first).Text(Padded(function.text())).Number<uint32_t>(0).text();
}

class Dump {
 public:
  Dump(const std::string& folder, bool is_map) : is_map_(is_map) {
    if (is_map) {
      const std::string map = folder + "/perf-" + std::to_string(getpid()) + ".map";
      fd_ = open(map.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
      return;
    }
    const std::string path = folder + "/jit-" + std::to_string(getpid()) + ".dump";
    fd_ = open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
    Bytes header;
    header.Number<uint32_t>(0x4A695444).Number<uint32_t>(1).Number<uint32_t>(40);
    header.Number<uint32_t>(62).Number<uint32_t>(0).Number<uint32_t>(OwnPid());
    header.Number<uint64_t>(0).Number<uint64_t>(0);
    Write(header.text());
    // What tells a profiler of the file.
    if (mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd_, 0) == MAP_FAILED) {
      std::perror("mmap of the dump");
      std::exit(1);
    }
  }

  void Unwinding(const std::string& eh_frame) {
    const std::string index(20, '\0');
    Record(4, Bytes()
                  .Number<uint64_t>(eh_frame.size() + index.size())
                  .Number<uint64_t>(index.size())
                  .Number<uint64_t>(0)
                  .Text(eh_frame)
                  .Text(index)
                  .text());
  }
  void Load(uint64_t at, const std::string& code, uint64_t index, std::string_view name) {
    if (is_map_) {
      char line[64];
      std::snprintf(line, sizeof(line), "%lx %zx ", at, code.size());
      Write(line + std::string(name) + "\n");
      return;
    }
    Bytes body;
    body.Number<uint32_t>(OwnPid()).Number<uint32_t>(OwnPid()).Number(at).Number(at);
    body.Number<uint64_t>(code.size()).Number(index).Text(name).Put(0).Text(code);
    Record(0, body.text());
  }
  void Move(uint64_t from, uint64_t to, uint64_t size, uint64_t index) {
    Bytes body;
    body.Number<uint32_t>(OwnPid()).Number<uint32_t>(OwnPid());
    body.Number(to).Number(from).Number(to).Number(size).Number(index);
    Record(1, body.text());
  }

 private:
  static uint32_t OwnPid() { return static_cast<uint32_t>(getpid()); }
  void Record(uint32_t type, const std::string& body) {
    Bytes record;
    record.Number(type).Number(static_cast<uint32_t>(16 + body.size()));
    record.Number(static_cast<uint64_t>(targets::WallNanos())).Text(body);
    Write(record.text());
  }
  void Write(const std::string& bytes) {
    if (write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      std::perror("write of the dump");
      std::exit(1);
    }
  }

  bool is_map_;
  int fd_ = -1;
};

constexpr size_t kArea = 1 << 16;

class Maker {
 public:
  Maker(std::string mode, const std::string& folder)
      : mode_(std::move(mode)), dump_(folder, mode_ == "map") {
    area_ = static_cast<char*>(
        mmap(nullptr, kArea, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    Make(0, 48, "jit_outer");
    Make(1, 4096, "jit_inner");
  }

  Made outer() const { return FunctionAt(place_[0]); }
  Made inner() const { return FunctionAt(place_[1]); }

  // The functions are not running.
  void Change() {
    ++changes_;
    if (mode_ == "move") {
      for (size_t which = 0; which < 2; ++which) {
        const size_t from = place_[which];
        const size_t to = from < kArea / 2 ? from + kArea / 2 : from - kArea / 2;
        Store(to, std::string(area_ + from, size_));
        Store(from, std::string(size_, '\xcc'));
        place_[which] = to;
        dump_.Move(AddressOf(from), AddressOf(to), size_, which);
      }
    } else if (mode_ == "reuse") {
      Make(0, 48 + 16 * (changes_ % 64), changes_ % 2 == 0 ? "jit_outer" : "jit_outer_again");
    }
  }

 private:
  void Make(size_t which, uint32_t frame, std::string_view name) {
    const bool has_cfi = mode_ != "fp" && mode_ != "map";
    const std::string code = has_cfi ? CodeWithoutFramePointer(frame) : CodeWithFramePointer();
    size_ = code.size();
    place_[which] = which * 64;
    if (has_cfi) {
      dump_.Unwinding(EhFrameFor(code.size(), frame));
    }
    dump_.Load(AddressOf(place_[which]), code, indices_++, name);
    Store(place_[which], code);
  }
  // Never writable and executable at once, as careful runtimes do it.
  void Store(size_t at, const std::string& code) {
    mprotect(area_, kArea, PROT_READ | PROT_WRITE);
    std::memcpy(area_ + at, code.data(), code.size());
    mprotect(area_, kArea, PROT_READ | PROT_EXEC);
  }
  uint64_t AddressOf(size_t at) const { return reinterpret_cast<uint64_t>(area_ + at); }
  Made FunctionAt(size_t at) const { return reinterpret_cast<Made>(area_ + at); }

  std::string mode_;
  Dump dump_;
  char* area_;
  size_t place_[2] = {};
  size_t size_ = 0;
  uint64_t indices_ = 0;
  uint32_t changes_ = 0;
};

Maker* maker = nullptr;

}  // namespace

extern "C" __attribute__((noinline)) void jit_callback() {
  targets::BurnCpuFor(100'000);
  targets::sink ^= 1;  // no tail call
}

extern "C" __attribute__((noinline)) void jit_between() {
  maker->inner()(jit_callback);
  targets::sink ^= 2;
}

int main(int argc, char** argv) {
  const double seconds = targets::NumberArgument(argc, argv, 1, 30);
  Maker made(argc > 2 ? argv[2] : "cfi", argc > 3 ? argv[3] : "/tmp");
  maker = &made;
  targets::EndBySignalAfter(seconds);
  targets::SayReady();
  const int64_t end = targets::WallNanos() + targets::SecondsToNanos(seconds);
  int64_t next_change = targets::WallNanos();
  while (targets::WallNanos() < end) {
    if (targets::WallNanos() > next_change) {
      made.Change();
      next_change += 100'000'000;
    }
    made.outer()(jit_between);
  }
  std::printf("DONE\n");
  maker = nullptr;
  return 0;
}
