// What a sample says about its wait, gathered from its leaf and its labels.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "profile/profile.h"
#include "profile/wait_kind.h"

namespace whyslow {

// Texts live as long as the profile; empty: unknown.
struct WaitFacts {
  std::string_view kind_name;    // "socket"; another program may have words of its own
  std::optional<WaitKind> kind;  // one of our list
  std::string_view peer;         // "127.0.0.1:5432"
  std::string_view protocol;     // "postgresql"
  std::string_view file;
  std::string_view syscall;
  std::string_view tls;  // "handshake", "read", "write"
  bool idle = false;     // the thread has nothing to do
};

// The frame `[wait: KIND]` that stands at a location of the module [wait]; empty: it is another
// one.
std::string_view WaitFrameAt(const Profile& profile, LocationIndex location);

// nullopt: the sample does not wait. Its leaf tells; where that is hidden, its label `wait`.
std::optional<WaitFacts> WaitFactsOf(const Profile& profile, const Sample& sample);

// What stands in a frame behind "wait: ", the kind and what tells it from others of its kind:
// "socket 127.0.0.1:5432 postgresql", "file /var/lib/x.db", "syscall getrandom".
std::string WaitWords(const WaitFacts& facts);

WaitFamily FamilyOf(const WaitFacts& facts);

bool IsIdle(const Profile& profile, const Sample& sample);

}  // namespace whyslow
