#include "profile/wait_names.h"

#include <algorithm>
#include <array>
#include <span>
#include <unordered_map>
#include <vector>

#include "profile/wait_name_tables.h"

namespace whyslow {
namespace {

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return IsUpper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

template <size_t N>
bool BeginsWithAny(std::string_view text, const std::array<std::string_view, N>& beginnings) {
  return std::ranges::any_of(
      beginnings, [text](std::string_view beginning) { return text.starts_with(beginning); });
}

// Where the group that opens at `open` ends; npos when it does not.
size_t EndOfGroup(std::string_view name, size_t open) {
  int depth = 0;
  for (size_t i = open; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '<' || c == '(') {
      ++depth;
    } else if (c == ')' || (c == '>' && (i == 0 || name[i - 1] != '-'))) {  // not of "->"
      if (--depth == 0) {
        return i;
      }
    }
  }
  return std::string_view::npos;
}

// Without parameters and template arguments: "a<int>::f(b)::{lambda()#1}" -> "a::f::{lambda#1}".
std::string WithoutGroups(std::string_view name) {
  constexpr std::string_view kOperator = "operator";
  std::string out;
  for (size_t i = 0; i < name.size();) {
    if (name.substr(i).starts_with(kOperator) && (i == 0 || name[i - 1] == ':')) {
      // What stands behind is a sign, also "()" and "<", up to the parameters.
      const size_t from = i + kOperator.size() + (name.substr(i).starts_with("operator()") ? 2 : 0);
      const size_t end = std::min(name.find('(', from), name.size());
      out += name.substr(i, end - i);
      i = end;
    } else if (name[i] == '<' || name[i] == '(') {
      const size_t end = EndOfGroup(name, i);
      if (end == std::string_view::npos) {
        break;
      }
      i = end + 1;
    } else {
      out += name[i++];
    }
  }
  return out;
}

// The last word of what is left, without what stands before (a type) and behind ("const", "&").
std::string_view LastWord(std::string_view name) {
  for (const std::string_view end : {" [", " const", " &", " volatile", " (."}) {
    name = name.substr(0, name.find(end));
  }
  const size_t brace = name.find('{');  // "{unnamed type#1}"
  const size_t space = name.substr(0, brace).rfind(' ');
  return space == std::string_view::npos ? name : name.substr(space + 1);
}

// Namespaces that libraries put between for their version's sake.
bool IsVersionNamespace(std::string_view part) {
  return part == "__1" || part == "__2" || part == "__ndk1" || part == "__cxx11" || part == "_V2" ||
         part.starts_with("lts_") || part.starts_with("debian");
}

std::string WithoutVersionNamespaces(std::string_view name) {
  std::string out;
  while (true) {
    const size_t end = name.find("::");
    if (end == std::string_view::npos) {
      return out += name;
    }
    if (end > 0 && !IsVersionNamespace(name.substr(0, end))) {
      out += name.substr(0, end + 2);
    }
    name.remove_prefix(end + 2);
  }
}

std::string_view WithoutPrefix(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

std::string_view WithoutUnderscores(std::string_view name) {
  return name.substr(std::min(name.find_first_not_of('_'), name.size()));
}

// "parse.part.0" -> "parse". Go's names have dots of their own.
std::string_view WithoutCompilerSuffix(std::string_view name) {
  for (const std::string_view suffix :
       {".cold", ".part.", ".constprop.", ".isra.", ".lto_priv", ".llvm.", ".localalias"}) {
    name = name.substr(0, name.find(suffix));
  }
  return name;
}

// The C library's names come with marks of where they are called from.
std::string_view BareSymbol(std::string_view name) {
  if (name == "_start") {  // "start" can be anybody's
    return name;
  }
  name = WithoutUnderscores(name.substr(0, name.find('@')));
  name = WithoutUnderscores(WithoutPrefix(name, "GI_"));
  if (!name.starts_with("libc_start")) {
    name = WithoutPrefix(name, "libc_");
  }
  for (const std::string_view version : {"new_", "old_"}) {
    if (WithoutPrefix(name, version).starts_with("sem_")) {
      name = WithoutPrefix(name, version);
    }
  }
  return WithoutCompilerSuffix(name);
}

// "BlockingQueue" -> blocking queue; "pop_front" -> pop front.
std::vector<std::string> WordsOf(std::string_view name) {
  std::vector<std::string> words;
  bool fresh = true;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (!IsLower(c) && !IsUpper(c)) {
      fresh = true;
      continue;
    }
    const bool hump = IsUpper(c) && i > 0 && IsLower(name[i - 1]);
    // The last capital of "HTTPServer" begins a word.
    const bool end_of_capitals =
        IsUpper(c) && i > 0 && IsUpper(name[i - 1]) && i + 1 < name.size() && IsLower(name[i + 1]);
    if (fresh || hump || end_of_capitals) {
      words.emplace_back();
    }
    words.back() += Lower(c);
    fresh = false;
  }
  return words;
}

template <size_t N>
bool HasWord(const std::vector<std::string>& words, const std::array<std::string_view, N>& wanted) {
  return std::ranges::any_of(words, [&](const std::string& word) {
    return std::ranges::find(wanted, std::string_view(word)) != wanted.end();
  });
}

struct NameParts {
  std::string_view scope;   // "work::Queue", "" for a function of C
  std::string_view method;  // "pop"
};

NameParts PartsOf(std::string_view bare) {
  const size_t colons = bare.rfind("::");
  if (colons != std::string_view::npos) {
    return {.scope = bare.substr(0, colons), .method = bare.substr(colons + 2)};
  }
  const size_t dot = bare.rfind('.');
  if (dot != std::string_view::npos) {
    return {.scope = bare.substr(0, dot), .method = bare.substr(dot + 1)};
  }
  return {.scope = {}, .method = bare};
}

// Something is taken out of a queue: "TaskQueue::pop", "queue_get", "dequeue".
bool TakesFromQueue(std::string_view bare) {
  const NameParts parts = PartsOf(bare);
  const std::vector<std::string> method = WordsOf(parts.method);
  if (HasWord(method, names::kPuttingWords)) {
    return false;
  }
  const std::string_view type = PartsOf(parts.scope).method;
  return HasWord(method, names::kDequeueWords) ||
         ((HasWord(method, names::kQueueWords) || HasWord(WordsOf(type), names::kQueueWords)) &&
          HasWord(method, names::kTakingWords));
}

// "handle_request", "exec_simple_query", but not "next_request".
bool WorksOnRequest(std::string_view bare) {
  const std::vector<std::string> method = WordsOf(PartsOf(bare).method);
  return !method.empty() &&
         std::ranges::find(names::kRequestWords, std::string_view(method.back())) !=
             names::kRequestWords.end() &&
         !HasWord(method, names::kTakingWords);
}

// "read_line", "RecvMessage": nothing but reading.
bool OnlyReads(std::string_view bare) {
  const std::vector<std::string> method = WordsOf(PartsOf(bare).method);
  return HasWord(method, names::kReadWords) &&
         std::ranges::all_of(method, [](const std::string& word) {
           return HasWord({word}, names::kReadWords) || HasWord({word}, names::kReadWhatWords);
         });
}

FrameTraits Lock(WaitKind kind, LockRank rank = LockRank::kLock) {
  return {.lock = kind,
          .lock_rank = rank,
          .takes_mutex = kind == WaitKind::kMutex,
          .lock_neutral = false,
          .is_runtime = rank == LockRank::kLock};
}

struct NameGroup {
  FrameTraits traits;
  std::span<const std::string_view> names;
};

// Names of several groups, found by an exact name or by a beginning ("res_*").
class NameIndex {
 public:
  NameIndex(std::initializer_list<NameGroup> groups) {
    for (const NameGroup& group : groups) {
      for (const std::string_view name : group.names) {
        if (name.ends_with('*')) {
          beginnings_.emplace_back(name.substr(0, name.size() - 1), group.traits);
        } else {
          exact_[name] |= group.traits;
        }
      }
    }
  }

  FrameTraits Find(std::string_view name) const {
    FrameTraits traits;
    if (const auto row = exact_.find(name); row != exact_.end()) {
      traits = row->second;
    }
    for (const auto& [beginning, more] : beginnings_) {
      if (name.starts_with(beginning)) {
        traits |= more;
      }
    }
    return traits;
  }

 private:
  std::unordered_map<std::string_view, FrameTraits> exact_;
  std::vector<std::pair<std::string_view, FrameTraits>> beginnings_;
};

const NameIndex& UserNames() {
  static const NameIndex kIndex({
      {Lock(WaitKind::kMutex), names::kMutex},
      {Lock(WaitKind::kCondition), names::kCondition},
      {Lock(WaitKind::kSemaphore), names::kSemaphore},
      {Lock(WaitKind::kJoin), names::kJoin},
      {Lock(WaitKind::kGil, LockRank::kExact), names::kGil},
      {Lock(WaitKind::kGil, LockRank::kInterpreter), names::kGilAround},
      {Lock(WaitKind::kMutex, LockRank::kExact), names::kPythonMutex},
      {Lock(WaitKind::kCondition, LockRank::kExact), names::kPythonCondition},
      {{.lock_neutral = true, .is_runtime = true}, names::kInsideLocks},
      {{.lock_neutral = true, .is_runtime = true}, names::kThreadStart},
      {{.lock_neutral = true, .is_runtime = true}, names::kLibraryPrefixes},
      {{.is_runtime = true}, names::kInterpreterCalls},
      {{.is_runtime = true}, names::kSystemCalls},
      {{.accepts = true, .is_runtime = true}, names::kAccept},
      {{.waits = true}, names::kWaitsForWork},
      {{.waits = true}, names::kReadsRequest},
      {{.is_base = true}, names::kServerBases},
      {{.is_work = true}, names::kWork},
      {{.resolves = true}, names::kResolver},
      {{.is_ares = true}, names::kAres},
      {{.tls = TlsUse::kSome}, names::kTls},
      {{.tls = TlsUse::kRead}, names::kTlsRead},
      {{.tls = TlsUse::kWrite}, names::kTlsWrite},
      {{.tls = TlsUse::kHandshake}, names::kTlsHandshake},
  });
  return kIndex;
}

const NameIndex& KernelNames() {
  static const NameIndex kIndex({
      {{.is_fault = true}, names::kKernelFault},
      {{.on_page = true}, names::kKernelPage},
      {{.on_page = true, .on_device = true}, names::kKernelDevice},
      {{.accepts = true}, names::kKernelAccept},
  });
  return kIndex;
}

}  // namespace

FrameTraits& FrameTraits::operator|=(const FrameTraits& other) {
  if (other.lock_rank > lock_rank) {
    lock = other.lock;
    lock_rank = other.lock_rank;
  }
  tls = std::max(tls, other.tls);
  takes_mutex |= other.takes_mutex;
  lock_neutral |= other.lock_neutral;
  resolves |= other.resolves;
  is_ares |= other.is_ares;
  accepts |= other.accepts;
  is_runtime |= other.is_runtime;
  waits |= other.waits;
  reads |= other.reads;
  is_base |= other.is_base;
  is_work |= other.is_work;
  is_fault |= other.is_fault;
  on_page |= other.on_page;
  on_device |= other.on_device;
  return *this;
}

FrameTraits TraitsOfUserFunction(std::string_view name) {
  const std::string bare = BareFunctionName(name);
  FrameTraits traits = UserNames().Find(bare);
  // libstdc++'s semaphores wait in a function for all atomics, which gets a part of them.
  if (bare.starts_with("std::__atomic_wait") &&
      name.find("_semaphore::") != std::string_view::npos) {
    traits.lock = WaitKind::kSemaphore;
  }
  if (BeginsWithAny(std::string_view(bare), names::kThreadBodies)) {
    traits.is_runtime = false;
    return traits;
  }
  // By words only where no table says what it is for: std::queue is a container.
  if (!traits.is_runtime && !traits.is_base) {
    traits.waits |= !traits.is_work && TakesFromQueue(bare);
    traits.is_work |= !traits.waits && WorksOnRequest(bare);
    traits.reads = OnlyReads(bare);
  }
  return traits;
}

FrameTraits TraitsOfKernelFunction(std::string_view name) {
  return KernelNames().Find(WithoutCompilerSuffix(WithoutUnderscores(name)));
}

FrameTraits TraitsOfModule(std::string_view path) {
  const std::string_view file = BaseName(path);
  FrameTraits traits;
  if (BeginsWithAny(file, names::kTlsModules)) {
    traits.tls = TlsUse::kSome;
  }
  traits.is_runtime = BeginsWithAny(file, names::kRuntimeModules);
  traits.resolves = BeginsWithAny(file, names::kResolverModules);
  traits.is_ares = BeginsWithAny(file, names::kAresModules);
  return traits;
}

bool IsLibc(std::string_view path) { return BeginsWithAny(BaseName(path), names::kLibcModules); }

bool IsPythonInterpreter(std::string_view path) {
  const std::string_view file = WithoutPrefix(BaseName(path), "lib");
  constexpr std::string_view kPython = "python";
  return file == kPython || (file.starts_with(kPython) && IsDigit(file[kPython.size()]));
}

bool IsResolverPeer(std::string_view peer) {
  return peer.ends_with(":53") ||
         BeginsWithAny(WithoutPrefix(peer, "unix:"), names::kResolverPeers);
}

std::string BareFunctionName(std::string_view name) {
  std::string bare;
  if (name.starts_with('<')) {  // Rust: "<T as Trait>::f" is T's f
    const size_t end = EndOfGroup(name, 0);
    if (end != std::string_view::npos) {
      const std::string_view type = name.substr(1, end - 1);
      bare = WithoutGroups(type.substr(0, type.rfind(" as ")));
      name.remove_prefix(end + 1);
    }
  }
  bare += WithoutGroups(name);
  return std::string(BareSymbol(WithoutVersionNamespaces(LastWord(bare))));
}

}  // namespace whyslow
