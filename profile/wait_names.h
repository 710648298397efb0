// What names of functions and modules tell about waits: one table for each thing that can be told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "profile/wait_kind.h"

namespace whyslow {

// What a TLS library does for its caller; later ones win where several frames of one stack tell.
enum class TlsUse : uint8_t { kNone, kSome, kRead, kWrite, kHandshake };

// How much a name knows about a lock. Of the frames around one wait the greatest decides: a
// library's semaphore is made of a mutex and a condition, and CPython's locks of the library's.
enum class LockRank : uint8_t {
  kNone,
  kInsideLibc,  // a function of the C library that is no lock, and can only wait for one
  kLock,
  kInterpreter,  // CPython, where something waits for the GIL or for a lock
  kExact,        // CPython's own lock, or its GIL
};

// Everything that one frame says by itself.
struct FrameTraits {
  WaitKind lock = WaitKind::kFutex;
  LockRank lock_rank = LockRank::kNone;
  bool takes_mutex = false;   // also behind a condition that came true
  bool lock_neutral = false;  // between a lock's function and its system call
  TlsUse tls = TlsUse::kNone;
  bool resolves = false;    // asks the resolver for its caller, whatever it does for that
  bool is_ares = false;     // c-ares: asks, but also calls its caller back
  bool accepts = false;     // takes connections: the process is a server
  bool is_runtime = false;  // of the C or C++ library or what starts threads: not of the program
  bool waits = false;       // made to wait for the next thing to do, or the loop that does
  bool reads = false;       // reads a message for its caller
  bool is_base = false;     // where threads of a well-known server come back to after each request
  bool is_work = false;     // something is under way as long as it runs
  bool nameless = false;    // a function of a stripped file
  bool is_fault = false;    // kernel: memory is read
  bool on_page = false;     // kernel: waits for a page, which a device may be about to fill
  bool on_device = false;   // kernel: waits for a device

  // Both of them.
  FrameTraits& operator|=(const FrameTraits& other);
};

// `name` as it stands in a profile: demangled or a symbol, with version, parameters, templates.
FrameTraits TraitsOfUserFunction(std::string_view name);
FrameTraits TraitsOfKernelFunction(std::string_view name);
// Of all frames in the module, also nameless ones.
FrameTraits TraitsOfModule(std::string_view path);
// The C library, whose named functions are each of a known purpose.
bool IsLibc(std::string_view path);
// CPython, whose static functions have no names where it is stripped.
bool IsPythonInterpreter(std::string_view path);
// "10.0.0.53:53" and sockets of local resolvers.
bool IsResolverPeer(std::string_view peer);

// What the tables are searched for: "void a::B<int>::f(long) const" is "a::B::f", and
// "__GI___pthread_mutex_lock@@GLIBC_2.2.5" is "pthread_mutex_lock".
std::string BareFunctionName(std::string_view name);

}  // namespace whyslow
