// The functions of libdebuginfod: debuginfod_find_debuginfo(3).
#include "symbolizer/debuginfod.h"

#include <dlfcn.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "base/unique_fd.h"

namespace whyslow {

struct Debuginfod::Library {
  void* handle = nullptr;
  void* client = nullptr;
  void* (*begin)() = nullptr;
  void (*end)(void*) = nullptr;
  // A length of 0: the build ID is text. Returns a descriptor, or a negative errno.
  int (*find)(void*, const unsigned char*, int length, char** path) = nullptr;
  void (*set_progress)(void*, int (*)(void*, long, long)) = nullptr;
  void (*set_user_data)(void*, void*) = nullptr;
  void* (*get_user_data)(void*) = nullptr;

  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (client != nullptr) {
      end(client);
    }
    // Not unloaded: libcurl behind it has threads and exit handlers of its own.
  }

  template <class F>
  bool Resolve(F*& function, const char* name) {
    function = reinterpret_cast<F*>(dlsym(handle, name));
    return function != nullptr;
  }
  bool ResolveAll() {
    return Resolve(begin, "debuginfod_begin") && Resolve(end, "debuginfod_end") &&
           Resolve(find, "debuginfod_find_debuginfo") &&
           Resolve(set_progress, "debuginfod_set_progressfn") &&
           Resolve(set_user_data, "debuginfod_set_user_data") &&
           Resolve(get_user_data, "debuginfod_get_user_data");
  }
};

namespace {

// The library hands its callback nothing but the client, and has a function of its own to ask that
// for our object: this one.
void* (*user_data_of)(void*) = nullptr;

bool IsHex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Debuginfod>> Debuginfod::Load(Nanoseconds limit) {
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  if (urls == nullptr || *urls == '\0') {
    return MakeStatus(absl::StatusCode::kFailedPrecondition,
                      "DEBUGINFOD_URLS is not set. Set it to the servers to ask, for Debian "
                      "DEBUGINFOD_URLS=https://debuginfod.debian.net");
  }
  auto library = std::make_unique<Library>();
  library->handle = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr || !library->ResolveAll()) {
    return MakeStatus(absl::StatusCode::kNotFound,
                      "libdebuginfod.so.1 could not be loaded. On Debian: apt-get install "
                      "libdebuginfod1");
  }
  library->client = library->begin();
  if (library->client == nullptr) {
    return MakeStatus(absl::StatusCode::kNotFound, "libdebuginfod could not be started");
  }
  user_data_of = library->get_user_data;
  std::unique_ptr<Debuginfod> result(new Debuginfod(std::move(library), limit));
  result->library_->set_user_data(result->library_->client, result.get());
  result->library_->set_progress(result->library_->client, &OnProgress);
  return result;
}

Debuginfod::Debuginfod(std::unique_ptr<Library> library, Nanoseconds limit)
    : library_(std::move(library)), limit_(limit) {}

Debuginfod::~Debuginfod() = default;

int Debuginfod::OnProgress(void* client, long got, long total) {
  auto* self = static_cast<Debuginfod*>(user_data_of(client));
  if (self->progress_) {
    self->progress_(self->current_, got, total);
  }
  return MonotonicClock::now() < *self->deadline_ ? 0 : 1;  // 1: give up
}

std::optional<ElfFile> Debuginfod::Find(std::string_view build_id) {
  if (!IsHex(build_id)) {
    return std::nullopt;
  }
  const std::scoped_lock lock(mutex_);
  current_ = build_id;
  if (!deadline_) {
    deadline_ = MonotonicClock::now() + limit_;
  }
  int result = -ETIME;
  if (MonotonicClock::now() < *deadline_) {
    result = library_->find(library_->client,
                            reinterpret_cast<const unsigned char*>(current_.c_str()), 0, nullptr);
  }
  if (result == -ENOENT) {
    ++report_.unknown;
    return std::nullopt;
  }
  if (result < 0) {
    ++report_.failed;
    report_.failed_build_id = current_;
    const bool is_late = MonotonicClock::now() >= *deadline_;
    report_.failed_reason = is_late ? "the time for it was over" : std::strerror(-result);
    return std::nullopt;
  }
  absl::StatusOr<ElfFile> elf = ElfFile::Open(UniqueFd(result), "debuginfod:" + current_);
  if (!elf.ok() || elf->build_id() != build_id) {
    ++report_.failed;
    report_.failed_build_id = current_;
    report_.failed_reason = "the server sent another file";
    return std::nullopt;
  }
  ++report_.found;
  return *std::move(elf);
}

DebuginfodReport Debuginfod::report() const {
  const std::scoped_lock lock(mutex_);
  return report_;
}

}  // namespace whyslow
