#include "profile/wait_reasons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "profile/profile_builder.h"
#include "profile/wait_kind.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;

struct Thread {
  std::string process = "server";
  std::string name = "worker";
  int64_t pid = 100;
  int64_t tid = 101;
};

using TextLabels = std::vector<std::pair<std::string, std::string>>;

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// Stacks are written root first, "main;serve;libc.so.6!recv;k!schedule". A frame is
// MODULE!FUNCTION#LINE, where the module is the program's when it is left out, `k` the kernel's and
// `note` ours, where #LINE makes another address in the same function, "+0x10" for a function has
// no name, and `caller^inlined` is one address with two functions.
class WaitReasonsTest : public ::testing::Test {
 protected:
  WaitReasonsTest() {
    builder_.SetValueTypes({{"cpu_samples", "count"},
                            {"cpu", "nanoseconds"},
                            {"waits", "count"},
                            {"wait", "nanoseconds"},
                            {"wall", "nanoseconds"}});
  }

  // Returns the sample's number, which stays as long as nothing is added up.
  size_t Wait(const Thread& thread, std::string_view kind, const std::string& stack,
              const TextLabels& more = {}) {
    const std::string leaf = "[wait: " + std::string(kind) + "]";
    const LabelSetIndex labels = Labels(thread, kind, more);
    const StackIndex node = builder_.AddStackNode(Stack(stack), Named(Wait(), leaf));
    const size_t before = builder_.profile().samples.size();
    const int64_t nanos = 1000 + static_cast<int64_t>(before);
    builder_.AddSample(node, labels, {{0, 0, 1, nanos, nanos}});
    DurationHistogram times;
    times.Add(static_cast<uint64_t>(nanos));
    builder_.AddWaitTimes(node, labels, times);
    return before;
  }

  void Run(const Thread& thread, const std::string& stack) {
    builder_.AddSample(Stack(stack), Labels(thread, "", {}), {{3, 300, 0, 0, 300}});
  }

  // Also checks what holds for every profile.
  void Refine() {
    const Profile before = builder_.profile();
    after_ = RefineWaits(before);
    EXPECT_EQ(Totals(after_), Totals(before));
    EXPECT_EQ(AllTimes(after_), AllTimes(before));
    EXPECT_EQ(Rows(RefineWaits(after_)), Rows(after_)) << "the second time changes nothing";
  }

  // "socket", "mutex idle", "tls read": kind, for which leaf and label agree, and what was found.
  std::string Of(size_t sample) const { return Of(after_, sample); }

  static std::string Of(const Profile& profile, size_t index) {
    const Sample& sample = profile.samples[index];
    std::vector<LocationIndex> locations;
    AppendLocations(profile, sample.stack, locations);
    std::vector<ShownFrame> leaf;
    AppendShownFrames(profile, locations.front(), leaf);
    std::string text(profile.TextLabel(sample, "wait"));
    EXPECT_EQ(leaf.front().name, text.empty() ? leaf.front().name : "[wait: " + text + "]");
    for (const std::string_view key : {"tls", "idle"}) {
      const std::string_view value = profile.TextLabel(sample, key);
      text += value.empty() ? "" : " " + std::string(key == "idle" ? "idle" : value);
    }
    return text;
  }

  std::vector<std::string> LabelKeys(size_t sample) const {
    std::vector<std::string> keys;
    for (const Label& label : after_.LabelsOf(after_.samples[sample])) {
      keys.emplace_back(after_.Text(label.key));
    }
    return keys;
  }

  static std::vector<int64_t> Totals(const Profile& profile) {
    std::vector<int64_t> totals(profile.value_types.size());
    for (size_t i = 0; i < profile.samples.size(); ++i) {
      for (size_t column = 0; column < totals.size(); ++column) {
        totals[column] += profile.ValuesOf(i)[column];
      }
    }
    return totals;
  }

  static DurationHistogram AllTimes(const Profile& profile) {
    DurationHistogram all;
    for (const auto& [sample, times] : profile.wait_times) {
      EXPECT_LT(sample, profile.samples.size());
      all.Add(times);
    }
    return all;
  }

  static std::vector<std::string> Rows(const Profile& profile) {
    std::vector<std::string> rows;
    for (size_t i = 0; i < profile.samples.size(); ++i) {
      rows.push_back(Of(profile, i) + " " + std::to_string(profile.ValuesOf(i)[4]));
    }
    return rows;
  }

  ModuleIndex ModuleNamed(const std::string& name) {
    if (name == "k") {
      return builder_.AddModule(
          {.kind = ModuleKind::kKernel, .path = builder_.AddString("[kernel.kallsyms]")});
    }
    if (name == "note") {
      return builder_.AddModule(
          {.kind = ModuleKind::kNote, .path = builder_.AddString("[whyslow]")});
    }
    return builder_.AddModule({.path = builder_.AddString("/usr/lib/" + name)});
  }

  ModuleIndex Wait() {
    return builder_.AddModule({.kind = ModuleKind::kWait, .path = builder_.AddString("[wait]")});
  }

  FunctionIndex FunctionNamed(const std::string& name) {
    return builder_.AddFunction({.name = builder_.AddString(name)});
  }

  LocationIndex Named(ModuleIndex module, const std::string& name, int64_t line = 0) {
    return builder_.AddNamedLocation(module, FunctionNamed(name), line);
  }

  LocationIndex At(const std::string& frame) {
    const size_t mark = frame.find('!');
    const ModuleIndex module =
        ModuleNamed(mark == std::string::npos ? "app" : frame.substr(0, mark));
    const std::vector<std::string> place =
        Split(mark == std::string::npos ? frame : frame.substr(mark + 1), '#');
    const int64_t line = place.size() > 1 ? std::stoll(place[1]) : 0;
    if (place[0].starts_with("+0x")) {
      return builder_.AddLocation(module, std::stoull(place[0], nullptr, 16));
    }
    const std::vector<std::string> inlined = Split(place[0], '^');
    if (inlined.size() == 1) {
      return Named(module, place[0], line);
    }
    Location location{.module = module, .address = 0x1000, .lines = {}};
    for (const std::string& name : inlined) {
      location.lines.insert(location.lines.begin(), {.function = FunctionNamed(name)});
    }
    return builder_.AddLocation(location);
  }

  StackIndex Stack(const std::string& root_first) {
    StackIndex node;
    for (const std::string& frame : Split(root_first, ';')) {
      node = frame.empty() ? node : builder_.AddStackNode(node, At(frame));
    }
    return node;
  }

  LabelSetIndex Labels(const Thread& thread, std::string_view kind, const TextLabels& more) {
    std::vector<Label> labels = {builder_.TextLabel("thread", thread.name),
                                 builder_.NumberLabel("pid", thread.pid),
                                 builder_.NumberLabel("tid", thread.tid)};
    if (!kind.empty()) {
      labels.push_back(builder_.TextLabel("wait", kind));
    }
    for (const auto& [key, text] : more) {
      labels.push_back(builder_.TextLabel(key, text));
    }
    labels.push_back(builder_.TextLabel("process", thread.process));
    return builder_.AddLabels(labels);
  }

  ProfileBuilder builder_;
  Profile after_;
};

const std::string kThread = "libc.so.6!clone3;libc.so.6!start_thread;";
const std::string kStdThread =
    kThread +
    "libstdc++.so.6!execute_native_thread_routine;"
    "std::thread::_State_impl<std::thread::_Invoker<std::tuple<void (*)()> > >::_M_run();";
const std::string kMain = "_start;libc.so.6!__libc_start_main@@GLIBC_2.34;main;";
const std::string kKernelFutex =
    "k!entry_SYSCALL_64_after_hwframe;k!do_syscall_64;k!__x64_sys_futex;k!do_futex;k!futex_wait;"
    "k!futex_wait_queue;k!schedule";
const std::string kCondition =
    "libstdc++.so.6!std::condition_variable::wait(std::unique_lock<std::mutex>&);"
    "libc.so.6!pthread_cond_wait@@GLIBC_2.3.2;libc.so.6!+0x8519f;" +
    kKernelFutex;
const std::string kEpoll =
    "libc.so.6!epoll_wait;k!do_syscall_64;k!__x64_sys_epoll_wait;k!ep_poll;k!schedule";
const std::string kRecv = "libc.so.6!recv;k!do_syscall_64;k!tcp_recvmsg;k!schedule";

// --- Locks ---

TEST_F(WaitReasonsTest, TheCLibrarysFunctionTellsWhichLockAFutexIs) {
  const std::string work = kMain + "work;";
  const size_t mutex = Wait({}, "futex",
                            work + "libc.so.6!pthread_mutex_lock@@GLIBC_2.2.5;" +
                                "libc.so.6!__lll_lock_wait;" + kKernelFutex);
  const size_t old = Wait({}, "futex",
                          work + "libc.so.6!___pthread_mutex_lock;" +
                              "libc.so.6!lll_mutex_lock_optimized;" + kKernelFutex);
  const size_t rwlock = Wait({}, "futex", work + "libc.so.6!pthread_rwlock_wrlock;" + kKernelFutex);
  const size_t condition =
      Wait({}, "futex",
           work + "libc.so.6!__pthread_cond_wait;" + "libc.so.6!__pthread_cond_wait_common;" +
               "libc.so.6!__futex_abstimed_wait_cancelable64;" + kKernelFutex);
  const size_t timed = Wait({}, "futex", work + "libc.so.6!pthread_cond_timedwait;" + kKernelFutex);
  const size_t semaphore =
      Wait({}, "futex",
           work + "libc.so.6!__new_sem_wait;" + "libc.so.6!__new_sem_wait_slow64.constprop.0;" +
               "libc.so.6!do_futex_wait.constprop.0;" + kKernelFutex);
  const size_t join = Wait({}, "futex",
                           work + "libc.so.6!pthread_join;" +
                               "libc.so.6!__pthread_clockjoin_ex;libc.so.6!+0x85;" + kKernelFutex);
  const size_t musl = Wait({}, "futex",
                           work + "ld-musl-x86_64.so.1!pthread_mutex_timedlock;" +
                               "ld-musl-x86_64.so.1!__timedwait;" + kKernelFutex);
  Run({}, kMain + "rest");
  Refine();

  EXPECT_EQ(Of(mutex), "mutex");
  EXPECT_EQ(Of(old), "mutex");
  EXPECT_EQ(Of(rwlock), "mutex");
  EXPECT_EQ(Of(condition), "condition");
  EXPECT_EQ(Of(timed), "condition");
  EXPECT_EQ(Of(semaphore), "semaphore");
  EXPECT_EQ(Of(join), "join");
  EXPECT_EQ(Of(musl), "mutex");
}

TEST_F(WaitReasonsTest, AFutexOfTheProgramsOwnStaysOne) {
  const size_t own = Wait({}, "futex", kMain + "my_lock;libc.so.6!syscall;" + kKernelFutex);
  const size_t nameless = Wait({}, "futex", kMain + "app!+0x10;libc.so.6!+0x85;" + kKernelFutex);
  const size_t bare = Wait({}, "futex", kKernelFutex);
  Refine();

  EXPECT_EQ(Of(own), "futex");
  EXPECT_EQ(Of(nameless), "futex");
  EXPECT_EQ(Of(bare), "futex");
}

TEST_F(WaitReasonsTest, LocksInsideTheCLibraryAreMutexes) {
  const size_t heap = Wait({}, "futex",
                           kMain + "work;libc.so.6!malloc;libc.so.6!+0x123;" +
                               "libc.so.6!__lll_lock_wait_private;" + kKernelFutex);
  const size_t stripped =
      Wait({}, "futex", kMain + "work;libc.so.6!free;libc.so.6!+0x124;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(heap), "mutex");
  EXPECT_EQ(Of(stripped), "mutex");
}

TEST_F(WaitReasonsTest, TheOutermostFunctionOfALibrarysLockDecides) {
  const size_t join = Wait({}, "futex",
                           kMain + "work;libstdc++.so.6!std::thread::join();" +
                               "libc.so.6!pthread_join;" + kKernelFutex);
  const size_t inlined =
      Wait({}, "futex",
           kMain + "work^std::mutex::lock();" + "libc.so.6!pthread_mutex_lock;" + kKernelFutex);
  const size_t semaphore =
      Wait({}, "futex",
           kMain +
               "work^std::counting_semaphore<4l>::acquire()^std::__atomic_wait_address(int const*);"
               "libc.so.6!syscall;" +
               kKernelFutex);
  const size_t uv = Wait({}, "futex",
                         kMain + "work;libuv.so.1!uv_sem_wait;" +
                             "libuv.so.1!uv_cond_wait;libc.so.6!pthread_cond_wait;" + kKernelFutex);
  Run({}, kMain + "rest");
  Refine();

  EXPECT_EQ(Of(join), "join");
  EXPECT_EQ(Of(inlined), "mutex");
  EXPECT_EQ(Of(semaphore), "semaphore");
  EXPECT_EQ(Of(uv), "semaphore");
}

// As libstdc++ 12 names them where the program has no debug information.
TEST_F(WaitReasonsTest, AtomicsSemaphoresAndFuturesAreToldApart) {
  const std::string platform =
      "void std::__detail::__platform_wait<int>(int const*, int);libc.so.6!syscall;" + kKernelFutex;
  const size_t semaphore =
      Wait({.tid = 1}, "futex",
           kThread +
               "void std::__atomic_wait_address_bare<std::__atomic_semaphore::_M_acquire()::"
               "{lambda()#1}>(int const*, std::__atomic_semaphore::_M_acquire()::"
               "{lambda()#1});" +
               platform);
  const size_t atomic = Wait({.tid = 2}, "futex", kStdThread + platform);
  const size_t future = Wait({.tid = 3}, "futex",
                             kStdThread +
                                 "libstdc++.so.6!std::__atomic_futex_unsigned_base::"
                                 "_M_futex_wait_until(unsigned int*, unsigned int, bool);"
                                 "libc.so.6!syscall;" +
                                 kKernelFutex);
  Refine();

  EXPECT_EQ(Of(semaphore), "semaphore idle");
  EXPECT_EQ(Of(atomic), "condition idle");
  EXPECT_EQ(Of(future), "condition");
}

TEST_F(WaitReasonsTest, AbseilsLocksHaveOneSemaphoreForAll) {
  const std::string inside =
      "absl::lts_20220623::Mutex::Block(absl::lts_20220623::base_internal::PerThreadSynch*);"
      "AbslInternalPerThreadSemWait_lts_20220623;"
      "absl::lts_20220623::synchronization_internal::Waiter::Wait(KernelTimeout);"
      "libc.so.6!syscall;" +
      kKernelFutex;
  const size_t mutex = Wait({}, "futex",
                            kMain + "work;absl::lts_20220623::Mutex::Lock();" +
                                "absl::lts_20220623::Mutex::LockSlow(int);" + inside);
  const size_t condition =
      Wait({}, "futex", kMain + "work;absl::lts_20220623::CondVar::Wait(Mutex*);" + inside);
  const size_t when = Wait({}, "futex",
                           kMain + "work;absl::Mutex::LockWhen(Condition const&);" +
                               "absl::Mutex::LockSlow(int);" + inside);
  Run({}, kMain + "rest");
  Refine();

  EXPECT_EQ(Of(mutex), "mutex");
  EXPECT_EQ(Of(condition), "condition");
  EXPECT_EQ(Of(when), "condition");
}

TEST_F(WaitReasonsTest, AConditionThatCameTrueWaitsForItsMutex) {
  const size_t wait =
      Wait({}, "futex",
           kMain + "work;libc.so.6!pthread_cond_wait;" + "libc.so.6!__pthread_mutex_cond_lock;" +
               "libc.so.6!__lll_lock_wait;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(wait), "mutex");
}

TEST_F(WaitReasonsTest, RustsLocksAreToldApart) {
  const size_t mutex =
      Wait({}, "futex",
           kMain + "work;std::sys::sync::mutex::futex::Mutex::lock_contended;" +
               "std::sys::pal::unix::futex::futex_wait;libc.so.6!syscall;" + kKernelFutex);
  const size_t parking =
      Wait({}, "futex",
           kMain + "work;parking_lot::raw_mutex::RawMutex::lock_slow;" +
               "parking_lot_core::parking_lot::park;libc.so.6!syscall;" + kKernelFutex);
  const size_t join = Wait(
      {}, "futex",
      kMain + "work;std::thread::JoinInner<T>::join;" + "libc.so.6!pthread_join;" + kKernelFutex);
  const size_t park =
      Wait({}, "futex", kMain + "work;std::thread::park;libc.so.6!syscall;" + kKernelFutex);
  Run({}, kMain + "rest");
  Refine();

  EXPECT_EQ(Of(mutex), "mutex");
  EXPECT_EQ(Of(parking), "mutex");
  EXPECT_EQ(Of(join), "join");
  EXPECT_EQ(Of(park), "condition");
}

TEST_F(WaitReasonsTest, PythonsGlobalLockIsToldFromItsOtherLocks) {
  const std::string python = "python3.11!main;python3.11!_PyEval_EvalFrameDefault;";
  const std::string timed = "libc.so.6!pthread_cond_timedwait;" + kKernelFutex;
  const size_t gil =
      Wait({}, "futex",
           python + "time_sleep;python3.11!PyEval_RestoreThread;" + "python3.11!take_gil;" + timed);
  const size_t stripped = Wait({}, "futex",
                               python + "time_sleep;libpython3.11.so.1.0!PyEval_RestoreThread;" +
                                   "libpython3.11.so.1.0!+0x1234;" + timed);
  const size_t between = Wait({}, "futex", python + "python3.11!+0x55;" + timed);
  const size_t lock = Wait({}, "futex",
                           python + "python3.11!+0x77;python3.11!PyThread_acquire_lock_timed;" +
                               "libc.so.6!sem_clockwait;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(gil), "gil");
  EXPECT_EQ(Of(stripped), "gil");
  EXPECT_EQ(Of(between), "gil");
  EXPECT_EQ(Of(lock), "mutex");
}

TEST_F(WaitReasonsTest, GoThreadsWithoutAGoroutineAreIdle) {
  const std::string inside = "runtime.futexsleep;runtime.futex;" + kKernelFutex;
  const size_t idle = Wait({}, "futex",
                           "runtime.mcall;runtime.park_m;runtime.schedule;runtime.findRunnable;"
                           "runtime.stopm;runtime.mPark;runtime.notesleep;" +
                               inside);
  const size_t lock = Wait({}, "futex", "runtime.mcall;runtime.park_m;runtime.lock2;" + inside);
  const size_t monitor =
      Wait({.tid = 7}, "sleep", "runtime.mstart;runtime.mstart1;runtime.sysmon;runtime.usleep");
  Refine();

  EXPECT_EQ(Of(idle), "condition idle");
  EXPECT_EQ(Of(lock), "mutex");
  EXPECT_EQ(Of(monitor), "sleep idle");
}

// --- The kernel's side ---

TEST_F(WaitReasonsTest, APageThatIsReadIsAPageFault) {
  const std::string fault = "k!do_user_addr_fault;k!handle_mm_fault;k!filemap_fault;k!io_schedule";
  const size_t direct = Wait({}, "kernel", kMain + "scan;k!asm_exc_page_fault;" + fault);
  const size_t arm = Wait({}, "disk", kMain + "scan;k!el0_da;k!do_mem_abort;k!do_page_fault");
  const size_t in_call =
      Wait({}, "file", kMain + "load;libc.so.6!read;k!do_syscall_64;k!ksys_read;" + fault);
  const size_t call = Wait({}, "syscall", kMain + "load;libc.so.6!stat;k!" + fault);
  const size_t lock = Wait({}, "futex", kMain + "scan;k!asm_exc_page_fault;" + fault);
  Refine();

  EXPECT_EQ(Of(direct), "page-fault");
  EXPECT_EQ(Of(arm), "page-fault");
  EXPECT_EQ(Of(in_call), "page-fault");
  EXPECT_EQ(Of(call), "page-fault");
  EXPECT_EQ(Of(lock), "futex");
}

TEST_F(WaitReasonsTest, AFileWhoseDeviceIsWaitedForIsDisk) {
  const std::string read = kMain + "load;libc.so.6!read;k!do_syscall_64;k!ksys_read;";
  const size_t disk = Wait({}, "file", read + "k!filemap_read;k!folio_wait_bit_common");
  const size_t sync =
      Wait({}, "file", kMain + "save;libc.so.6!fsync;k!do_fsync;k!submit_bio_wait;k!io_schedule");
  const size_t lock = Wait({}, "file", kMain + "load;libc.so.6!flock;k!flock_lock_inode_wait");
  const size_t other = Wait({}, "uninterruptible", kMain + "load;k!rpc_wait_bit_killable");
  const size_t device =
      Wait({}, "syscall", kMain + "load;libc.so.6!sync;k!ksys_sync;k!io_schedule");
  Refine();

  EXPECT_EQ(Of(disk), "disk");
  EXPECT_EQ(Of(sync), "disk");
  EXPECT_EQ(Of(lock), "file");
  EXPECT_EQ(Of(other), "uninterruptible");
  EXPECT_EQ(Of(device), "disk");
}

// --- Sockets ---

TEST_F(WaitReasonsTest, TheResolversWaitsAreDns) {
  const size_t poll =
      Wait({}, "poll", kMain + "fetch;libc.so.6!getaddrinfo;libc.so.6!+0x11;" + "libc.so.6!__poll");
  const size_t connect = Wait(
      {}, "connect",
      kMain + "fetch;libc.so.6!gethostbyname_r;" + "libnss_resolve.so.2!+0x5;libc.so.6!connect");
  const size_t send = Wait({}, "socket", kMain + "fetch;libc.so.6!__res_context_send;" + kRecv);
  const size_t port = Wait({}, "socket", kMain + "lookup;" + kRecv, {{"peer", "10.0.0.53:53"}});
  const size_t protocol = Wait({}, "poll", kMain + "lookup;" + kEpoll, {{"protocol", "dns"}});
  const size_t local = Wait({}, "socket", kMain + "lookup;" + kRecv,
                            {{"peer", "/run/systemd/resolve/io.systemd.Resolve"}});
  const size_t ares =
      Wait({}, "poll", kMain + "fetch;libcares.so.2!ares_queue_wait_empty;" + kEpoll);
  Refine();

  EXPECT_EQ(Of(poll), "dns");
  EXPECT_EQ(Of(connect), "dns");
  EXPECT_EQ(Of(send), "dns");
  EXPECT_EQ(Of(port), "dns");
  EXPECT_EQ(Of(protocol), "dns");
  EXPECT_EQ(Of(local), "dns");
  EXPECT_EQ(Of(ares), "dns");
}

TEST_F(WaitReasonsTest, OtherPortsAndWhatCAresCallsBackAreNot) {
  const size_t port = Wait({}, "socket", kMain + "lookup;" + kRecv, {{"peer", "10.0.0.1:5353"}});
  const size_t back = Wait({}, "socket", kMain + "libcares.so.2!ares_process_fd;on_host;" + kRecv);
  const size_t lock =
      Wait({}, "futex",
           kMain + "fetch;libc.so.6!getaddrinfo;" + "libc.so.6!pthread_mutex_lock;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(port), "socket");
  EXPECT_EQ(Of(back), "socket");
  EXPECT_EQ(Of(lock), "mutex");
}

TEST_F(WaitReasonsTest, SocketsUnderATlsLibraryAreTls) {
  const std::string bio = "libcrypto.so.3!BIO_read;libcrypto.so.3!+0x8;" + kRecv;
  const size_t read = Wait({}, "socket", kMain + "fetch;libssl.so.3!SSL_read;" + bio);
  const size_t write = Wait({}, "socket", kMain + "fetch;libssl.so.3!SSL_write_ex;" + bio);
  const size_t handshake =
      Wait({}, "socket",
           kMain + "fetch;libssl.so.3!SSL_connect;" + "libssl.so.3!SSL_do_handshake;" + bio);
  const size_t within =
      Wait({}, "socket",
           kMain + "fetch;libssl.so.3!SSL_read;" + "libssl.so.3!ossl_statem_connect;" + bio);
  const size_t nameless = Wait({}, "socket", kMain + "fetch;libssl.so.1.1!+0x77;" + bio);
  const size_t gnu = Wait(
      {}, "poll",
      kMain + "fetch;libgnutls.so.30!gnutls_handshake;" + "libgnutls.so.30!+0x4;libc.so.6!poll");
  const size_t python =
      Wait({}, "poll", kMain + "_ssl.cpython-311-x86_64-linux-gnu.so!+0x9;libc.so.6!poll");
  const size_t built_in = Wait({}, "socket", kMain + "fetch;SSL_peek;BIO_read;" + kRecv);
  Refine();

  EXPECT_EQ(Of(read), "tls read");
  EXPECT_EQ(Of(write), "tls write");
  EXPECT_EQ(Of(handshake), "tls handshake");
  EXPECT_EQ(Of(within), "tls handshake");
  EXPECT_EQ(Of(nameless), "tls");
  EXPECT_EQ(Of(gnu), "tls handshake");
  EXPECT_EQ(Of(python), "tls");
  EXPECT_EQ(Of(built_in), "tls read");
}

TEST_F(WaitReasonsTest, TlsSaysNothingOfOtherWaits) {
  const size_t connect =
      Wait({}, "connect", kMain + "fetch;libssl.so.3!SSL_connect;" + "libc.so.6!connect");
  const size_t lock = Wait(
      {}, "futex",
      kMain + "fetch;libssl.so.3!SSL_new;" + "libc.so.6!pthread_rwlock_wrlock;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(connect), "connect");
  EXPECT_EQ(Of(lock), "mutex");
}

// --- Idle: servers that are well known ---

TEST_F(WaitReasonsTest, RedisIsIdleInItsLoopAndNotInACommand) {
  const std::string loop = kMain + "aeMain;aeProcessEvents;";
  const size_t idle = Wait({}, "poll", loop + "aeApiPoll;" + kEpoll);
  const size_t write = Wait({}, "socket",
                            loop +
                                "readQueryFromClient;processInputBuffer;writeToClient;"
                                "libc.so.6!write");
  const size_t nested =
      Wait({}, "poll",
           loop + "readQueryFromClient;processEventsWhileBlocked;aeProcessEvents;" + "aeApiPoll;" +
               kEpoll);
  const size_t bio =
      Wait({.tid = 102}, "futex",
           kThread + "bioProcessBackgroundJobs;" + "libc.so.6!pthread_cond_wait;" + kKernelFutex);
  const size_t sync =
      Wait({.tid = 102}, "file", kThread + "bioProcessBackgroundJobs;libc.so.6!fdatasync");
  Refine();

  EXPECT_EQ(Of(idle), "poll idle");
  EXPECT_EQ(Of(write), "socket");
  EXPECT_EQ(Of(nested), "poll");
  EXPECT_EQ(Of(bio), "condition idle");
  EXPECT_EQ(Of(sync), "file");
}

TEST_F(WaitReasonsTest, NginxIsIdleInItsCycles) {
  const Thread master{.process = "nginx", .name = "nginx", .pid = 1, .tid = 1};
  const Thread worker{.process = "nginx", .name = "nginx", .pid = 2, .tid = 2};
  const std::string cycle = kMain + "ngx_master_process_cycle;";
  const std::string events =
      cycle +
      "ngx_start_worker_processes;ngx_spawn_process;ngx_worker_process_cycle;"
      "ngx_process_events_and_timers;ngx_epoll_process_events;";
  const size_t waiting = Wait(master, "signal", cycle + "libc.so.6!sigsuspend");
  const size_t idle = Wait(worker, "poll", events + kEpoll);
  const size_t upstream =
      Wait(worker, "connect", events + "ngx_http_upstream_connect;libc.so.6!connect");
  const size_t disk = Wait(worker, "file", events + "ngx_http_static_handler;libc.so.6!open64");
  Refine();

  EXPECT_EQ(Of(waiting), "signal idle");
  EXPECT_EQ(Of(idle), "poll idle");
  EXPECT_EQ(Of(upstream), "connect");
  EXPECT_EQ(Of(disk), "file");
}

const std::string kPostmaster = kMain + "PostmasterMain;ServerLoop;";
const std::string kBackend = kPostmaster + "BackendStartup;BackendRun;PostgresMain;";
const std::string kLatch = "WaitLatch;WaitEventSetWait;WaitEventSetWaitBlock;" + kEpoll;

TEST_F(WaitReasonsTest, PostgresIsIdleWhileItsClientIs) {
  const Thread backend{.process = "postgres", .name = "postgres", .pid = 5, .tid = 5};
  const std::string read = "ReadCommand;SocketBackend;pq_getbyte;pq_recvbuf;secure_read;";
  const size_t client =
      Wait(backend, "poll", kBackend + read + "WaitEventSetWait;WaitEventSetWaitBlock;" + kEpoll);
  const size_t socket = Wait(backend, "socket", kBackend + read + kRecv);
  const size_t copy = Wait(backend, "poll",
                           kBackend +
                               "exec_simple_query;PortalRun;DoCopy;CopyGetData;"
                               "pq_getbyte;secure_read;WaitEventSetWait;" +
                               kEpoll);
  const size_t lock = Wait(backend, "poll",
                           kBackend +
                               "exec_simple_query;PortalRun;heap_update;"
                               "LockAcquireExtended;WaitOnLock;ProcSleep;" +
                               kLatch);
  const size_t inlined = Wait(backend, "poll", kBackend + "pq_getbyte#4;secure_read;" + kEpoll);
  Refine();

  EXPECT_EQ(Of(client), "poll idle");
  EXPECT_EQ(Of(socket), "socket idle");
  EXPECT_EQ(Of(copy), "poll");
  EXPECT_EQ(Of(lock), "poll");
  EXPECT_EQ(Of(inlined), "poll idle");
}

// Nothing else was seen of this process: only the names tell.
TEST_F(WaitReasonsTest, ABackendThatWaitsForALockAllTheTimeIsNotIdle) {
  const size_t lock =
      Wait({.process = "postgres"}, "poll", kBackend + "exec_simple_query;ProcSleep;" + kLatch);
  Refine();

  EXPECT_EQ(Of(lock), "poll");
}

TEST_F(WaitReasonsTest, PostgresBackgroundProcessesAreIdleInTheirLoops) {
  const std::string start = kMain + "PostmasterMain;StartChildProcess;AuxiliaryProcessMain;";
  const size_t wal =
      Wait({.process = "postgres", .pid = 5, .tid = 5}, "poll", start + "WalWriterMain;" + kLatch);
  const size_t checkpoint = Wait({.process = "postgres", .pid = 6, .tid = 6}, "poll",
                                 start + "CheckpointerMain;" + kLatch);
  const size_t writer = Wait({.process = "postgres", .pid = 7, .tid = 7}, "poll",
                             start + "BackgroundWriterMain;" + kLatch);
  const size_t sync = Wait({.process = "postgres", .pid = 6, .tid = 6}, "file",
                           start + "CheckpointerMain;CreateCheckPoint;libc.so.6!fsync");
  const size_t postmaster = Wait({.process = "postgres", .pid = 1, .tid = 1}, "poll",
                                 kPostmaster + "WaitEventSetWait;" + kEpoll);
  Refine();

  EXPECT_EQ(Of(wal), "poll idle");
  EXPECT_EQ(Of(checkpoint), "poll idle");
  EXPECT_EQ(Of(writer), "poll idle");
  EXPECT_EQ(Of(sync), "file");
  EXPECT_EQ(Of(postmaster), "poll idle");
}

TEST_F(WaitReasonsTest, NodeIsIdleInItsLoopAndInItsThreads) {
  const std::string spin =
      kMain + "node::Start(int, char**);node::SpinEventLoop(node::Environment*);";
  const size_t loop = Wait({}, "poll", spin + "uv_run;uv__io_poll;" + kEpoll);
  const size_t script =
      Wait({}, "file", spin + "uv_run;uv__io_poll;node::StreamBase::Read;libc.so.6!read");
  const std::string pool = kThread + "worker;uv_cond_wait;libc.so.6!pthread_cond_wait;";
  const size_t worker = Wait({.tid = 102}, "futex", pool + kKernelFutex);
  const size_t dns =
      Wait({.tid = 102}, "poll",
           kThread + "worker;uv__getaddrinfo_work;" + "libc.so.6!getaddrinfo;libc.so.6!poll");
  const size_t v8 = Wait({.tid = 103}, "futex",
                         kThread + "node::(anonymous namespace)::PlatformWorkerThread(void*);" +
                             "node::TaskQueue<v8::Task>::BlockingPop();uv_cond_wait;" +
                             "libc.so.6!pthread_cond_wait;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(loop), "poll idle");
  EXPECT_EQ(Of(script), "file");
  EXPECT_EQ(Of(worker), "condition idle");
  EXPECT_EQ(Of(dns), "dns");
  EXPECT_EQ(Of(v8), "condition idle");
}

// As native frames alone, without Python's own.
TEST_F(WaitReasonsTest, AGunicornWorkerIsIdleWhereItAccepts) {
  const std::string run = "python3.11!main;python3.11!Py_BytesMain;python3.11!pymain_run_python;" +
                          std::string("python3.11!_PyEval_EvalFrameDefault;");
  const std::string view = run + "python3.11!slot_tp_call;python3.11!_PyEval_EvalFrameDefault;";
  const Thread worker{.process = "gunicorn", .name = "gunicorn", .pid = 2, .tid = 2};
  const Thread arbiter{.process = "gunicorn", .name = "gunicorn", .pid = 1, .tid = 1};
  const size_t accept =
      Wait(worker, "accept",
           run + "python3.11!method_vectorcall_NOARGS;" + "python3.11!sock_accept;" +
               "python3.11!sock_call_ex;libc.so.6!accept4");
  const size_t select = Wait(worker, "poll",
                             run + "python3.11!cfunction_vectorcall_FASTCALL;" +
                                 "python3.11!select_select;libc.so.6!select");
  const size_t deeper = Wait(worker, "poll", view + "python3.11!select_poll_poll;libc.so.6!poll");
  const size_t database = Wait(worker, "socket", view + "python3.11!sock_recv;" + kRecv);
  const size_t master = Wait(arbiter, "pipe", run + "python3.11!select_select;libc.so.6!select");
  Refine();

  EXPECT_EQ(Of(accept), "accept idle");
  EXPECT_EQ(Of(select), "poll idle");
  EXPECT_EQ(Of(deeper), "poll");
  EXPECT_EQ(Of(database), "socket");
  EXPECT_EQ(Of(master), "pipe idle");
}

// --- Idle: programs that nobody knows ---

TEST_F(WaitReasonsTest, APoolsWorkerIsIdleAtItsQueueAndNotInAHandler) {
  const std::string loop = kStdThread + "pool::Worker::Loop();";
  const size_t queue = Wait(
      {}, "futex", loop + "util::BlockingQueue<Task>::pop(std::chrono::seconds);" + kCondition);
  const size_t mutex =
      Wait({}, "futex", loop + "Handle(Task&);libc.so.6!pthread_mutex_lock;" + kKernelFutex);
  const size_t receive = Wait({}, "socket", loop + "Handle(Task&);" + kRecv);
  const size_t result = Wait({}, "futex", loop + "Handle(Task&);AwaitReply();" + kCondition);
  const size_t own = Wait({}, "futex", loop + "Handle(Task&);" + kCondition);
  Refine();

  EXPECT_EQ(Of(queue), "condition idle");
  EXPECT_EQ(Of(mutex), "mutex");
  EXPECT_EQ(Of(receive), "socket");
  EXPECT_EQ(Of(result), "condition");
  EXPECT_EQ(Of(own), "condition");
}

TEST_F(WaitReasonsTest, OneFunctionIsOneAtAllItsAddresses) {
  const std::string loop = kThread + "run_thread;worker_loop";
  const size_t idle = Wait({}, "futex", loop + "#10;" + kCondition);
  const size_t work = Wait({}, "futex", loop + "#20;handle;" + kCondition);
  Run({}, loop + "#20;handle#7;compute");
  Refine();

  EXPECT_EQ(Of(idle), "condition idle");
  EXPECT_EQ(Of(work), "condition");
}

TEST_F(WaitReasonsTest, AnInlinedHandlerIsBeyondTheBase) {
  const size_t idle = Wait({}, "futex", kThread + "worker;queue_get;" + kCondition);
  const size_t work = Wait({}, "futex", kThread + "worker^handle;" + kCondition);
  Refine();

  EXPECT_EQ(Of(idle), "condition idle");
  EXPECT_EQ(Of(work), "condition");
}

// The compiler has put the loop into the library's function that calls it, and no names tell.
TEST_F(WaitReasonsTest, ALoopInlinedIntoTheThreadsStartIsItsBase) {
  const size_t idle = Wait({}, "futex", kStdThread + kCondition);
  const size_t work = Wait({}, "futex", kStdThread + "Handle(Task&);" + kCondition);
  const std::string rust = kThread +
                           "std::sys::backtrace::__rust_begin_short_backtrace;"
                           "core::ops::function::FnOnce::call_once{{vtable.shim}};";
  const size_t rust_idle =
      Wait({.tid = 102}, "futex", rust + "std::thread::park;libc.so.6!syscall;" + kKernelFutex);
  const size_t rust_work =
      Wait({.tid = 102}, "futex", rust + "app::handle;std::thread::park;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(idle), "condition idle");
  EXPECT_EQ(Of(work), "condition");
  EXPECT_EQ(Of(rust_idle), "condition idle");
  EXPECT_EQ(Of(rust_work), "condition");
}

// The first one was in its handler all the time; the others show that it is one.
TEST_F(WaitReasonsTest, OneWorkersStandstillIsNotIdleWhereOthersGoOn) {
  const std::string loop = kThread + "run_thread;worker_loop;";
  const size_t stuck = Wait({.tid = 201}, "futex", loop + "handle;" + kCondition);
  const size_t idle = Wait({.tid = 202}, "futex", loop + kCondition);
  Run({.tid = 202}, loop + "handle;compute");
  Refine();

  EXPECT_EQ(Of(stuck), "condition");
  EXPECT_EQ(Of(idle), "condition idle");
}

TEST_F(WaitReasonsTest, AQueueNextToItShowsThatAHandlerIsOne) {
  const std::string loop = kThread + "run_thread;worker_loop;";
  const size_t stuck = Wait({.tid = 201}, "futex", loop + "handle;" + kCondition);
  const size_t idle = Wait({.tid = 202}, "futex", loop + "task_queue_pop;" + kCondition);
  Refine();

  EXPECT_EQ(Of(stuck), "condition");
  EXPECT_EQ(Of(idle), "condition idle");
}

TEST_F(WaitReasonsTest, ProcessesOfOtherNamesTellNothing) {
  const size_t idle = Wait({.process = "a", .pid = 1, .tid = 1}, "futex",
                           kThread + "run_thread;loop;" + kCondition);
  Run({.process = "b", .pid = 2, .tid = 2}, kThread + "run_thread;other");
  Run({.process = "b", .pid = 2, .tid = 2}, kThread + "run_thread;loop");
  Refine();

  EXPECT_EQ(Of(idle), "condition idle");
}

TEST_F(WaitReasonsTest, AnAnswerThatIsWaitedForIsNotIdleWhateverTheWaitIs) {
  const size_t answer = Wait({}, "futex", kMain + "wait_for_answer;" + kCondition);
  const size_t poll = Wait({}, "poll", kMain + "wait_for_answer;" + kEpoll);
  Run({}, kMain + "print_answer");
  Refine();

  EXPECT_EQ(Of(answer), "condition");
  EXPECT_EQ(Of(poll), "poll");
}

TEST_F(WaitReasonsTest, ResultsBarriersAndCallsOfServicesAreNeverIdle) {
  const size_t future = Wait({.tid = 1}, "futex", kMain + "std::future<int>::get();" + kCondition);
  const size_t barrier =
      Wait({.tid = 2}, "futex", kThread + "compute;libc.so.6!pthread_barrier_wait;" + kKernelFutex);
  const size_t service = Wait({.tid = 3}, "poll", kThread + "fetch;curl_easy_perform;" + kEpoll);
  const size_t request = Wait({.tid = 4}, "poll", kThread + "serve;handle_request;" + kEpoll);
  const size_t next = Wait({.tid = 5}, "poll", kThread + "serve;next_request;" + kEpoll);
  Refine();

  EXPECT_EQ(Of(future), "condition");
  EXPECT_EQ(Of(barrier), "condition");
  EXPECT_EQ(Of(service), "poll");
  EXPECT_EQ(Of(request), "poll");
  EXPECT_EQ(Of(next), "poll idle");
}

TEST_F(WaitReasonsTest, AThreadOfNothingButItsWaitIsIdleByKind) {
  const std::string only = kThread + "only;";
  const size_t accept = Wait({.tid = 1}, "accept", only + "libc.so.6!accept4");
  const size_t poll = Wait({.tid = 2}, "poll", only + kEpoll);
  const size_t condition = Wait({.tid = 3}, "futex", only + kCondition);
  const size_t semaphore = Wait({.tid = 4}, "semaphore", only + "libc.so.6!sem_wait");
  const size_t event = Wait({.tid = 5}, "event", only + "libc.so.6!read");
  const size_t signal = Wait({.tid = 6}, "signal", only + "libc.so.6!sigwait");
  Refine();

  EXPECT_EQ(Of(accept), "accept idle");
  EXPECT_EQ(Of(poll), "poll idle");
  EXPECT_EQ(Of(condition), "condition idle");
  EXPECT_EQ(Of(semaphore), "semaphore idle");
  EXPECT_EQ(Of(event), "event idle");
  EXPECT_EQ(Of(signal), "signal idle");
}

TEST_F(WaitReasonsTest, AProgramThatOnlyWaitsForOneThingIsNotIdle) {
  const TextLabels peer = {{"peer", "10.0.0.1:5432"}, {"protocol", "postgresql"}};
  const size_t socket = Wait({.tid = 1}, "socket", kMain + kRecv, peer);
  const size_t poll = Wait({.tid = 2}, "poll", kMain + "libc.so.6!poll", peer);
  const size_t dns = Wait({.tid = 3}, "poll", kMain + "libc.so.6!getaddrinfo;libc.so.6!poll");
  const size_t connect = Wait({.tid = 4}, "connect", kMain + "libc.so.6!connect", peer);
  const size_t sleep = Wait({.tid = 5}, "sleep", kMain + "libc.so.6!nanosleep");
  const size_t mutex =
      Wait({.tid = 6}, "futex", kMain + "libc.so.6!pthread_mutex_lock;" + kKernelFutex);
  const size_t futex = Wait({.tid = 7}, "futex", kMain + "libc.so.6!syscall;" + kKernelFutex);
  const size_t disk = Wait({.tid = 8}, "disk", kMain + "libc.so.6!read");
  const size_t pipe = Wait({.tid = 9}, "pipe", kMain + "libc.so.6!read");
  const size_t timer = Wait({.tid = 10}, "timer", kMain + "libc.so.6!read");
  const size_t ring = Wait({.tid = 11}, "io_uring", kMain + "io_uring_wait_cqe");
  const size_t tls = Wait({.tid = 12}, "socket", kMain + "libssl.so.3!SSL_connect;" + kRecv);
  Refine();

  EXPECT_EQ(Of(socket), "socket");
  EXPECT_EQ(Of(poll), "poll");
  EXPECT_EQ(Of(dns), "dns");
  EXPECT_EQ(Of(connect), "connect");
  EXPECT_EQ(Of(sleep), "sleep");
  EXPECT_EQ(Of(mutex), "mutex");
  EXPECT_EQ(Of(futex), "futex");
  EXPECT_EQ(Of(disk), "disk");
  EXPECT_EQ(Of(pipe), "pipe");
  EXPECT_EQ(Of(timer), "timer");
  EXPECT_EQ(Of(ring), "io_uring");
  EXPECT_EQ(Of(tls), "tls handshake");
}

TEST_F(WaitReasonsTest, MainThatWaitsForItsWorkersIsIdle) {
  const size_t join = Wait(
      {.tid = 1}, "futex",
      kMain + "libstdc++.so.6!std::thread::join();" + "libc.so.6!pthread_join;" + kKernelFutex);
  const size_t part =
      Wait({.tid = 1}, "futex", kMain + "parallel_sort;libc.so.6!pthread_join;" + kKernelFutex);
  Refine();

  EXPECT_EQ(Of(join), "join idle");
  EXPECT_EQ(Of(part), "join");
}

TEST_F(WaitReasonsTest, AMasterOfProcessesIsIdle) {
  const size_t master = Wait({}, "child", kMain + "supervise;libc.so.6!waitpid");
  const size_t step =
      Wait({.process = "build", .pid = 9, .tid = 9}, "child", kMain + "run_step;libc.so.6!waitpid");
  Run({.process = "build", .pid = 9, .tid = 9}, kMain + "plan");
  Refine();

  EXPECT_EQ(Of(master), "child idle");
  EXPECT_EQ(Of(step), "child");
}

// --- Idle: sockets ---

TEST_F(WaitReasonsTest, AThreadOfOneConnectionIsIdleBetweenRequests) {
  const TextLabels mine = {{"peer", "127.0.0.1:8080"}};
  const TextLabels other = {{"peer", "10.0.0.9:5432"}};
  const std::string loop = kThread + "serve_connection;";
  const size_t accept =
      Wait({.tid = 1}, "accept", kMain + "libc.so.6!accept", {{"peer", "0.0.0.0:8080"}});
  const size_t next = Wait({.tid = 2}, "socket", loop + kRecv, mine);
  const size_t wrapped = Wait({.tid = 2}, "socket", loop + "read_line;read_full;" + kRecv, mine);
  const size_t upstream = Wait({.tid = 2}, "socket", loop + "handle;" + kRecv, other);
  const size_t inline_upstream = Wait({.tid = 2}, "socket", loop + kRecv, other);
  Refine();

  EXPECT_EQ(Of(accept), "accept idle");
  EXPECT_EQ(Of(next), "socket idle");
  EXPECT_EQ(Of(wrapped), "socket idle");
  EXPECT_EQ(Of(upstream), "socket");
  EXPECT_EQ(Of(inline_upstream), "socket");
}

TEST_F(WaitReasonsTest, SoItIsUnderTlsButNotInAHandshake) {
  const std::string loop = kThread + "serve_connection;";
  Run({.tid = 1}, kMain + "libc.so.6!accept4;k!__x64_sys_accept4");
  const size_t next = Wait({.tid = 2}, "socket", loop + "libssl.so.3!SSL_read;" + kRecv);
  const size_t shake = Wait({.tid = 2}, "socket", loop + "libssl.so.3!SSL_accept;" + kRecv);
  Run({.tid = 2}, loop + "handle");
  Refine();

  EXPECT_EQ(Of(next), "tls read idle");
  EXPECT_EQ(Of(shake), "tls handshake");
}

TEST_F(WaitReasonsTest, AClientThatReadsAnswersInALoopIsNotIdle) {
  const size_t answer = Wait({}, "socket", kThread + "client_loop;" + kRecv);
  Run({}, kThread + "client_loop;check_answer");
  Refine();

  EXPECT_EQ(Of(answer), "socket");
}

// --- Idle: what is not known ---

TEST_F(WaitReasonsTest, AStackThatIsNotWholeIsNotCalledIdle) {
  const size_t truncated =
      Wait({.tid = 1}, "futex", "note![truncated: stack copy ended];worker;" + kCondition);
  const size_t kernel_only = Wait({.tid = 2}, "poll", "k!do_syscall_64;k!ep_poll;k!schedule");
  const size_t nothing = Wait({.tid = 3}, "accept", "");
  Refine();

  EXPECT_EQ(Of(truncated), "condition");
  EXPECT_EQ(Of(kernel_only), "poll");
  EXPECT_EQ(Of(nothing), "accept");
}

TEST_F(WaitReasonsTest, SamplesThatTellNothingDoNotMoveTheBase) {
  const size_t idle = Wait({}, "futex", kThread + "run_thread;loop;" + kCondition);
  Run({}, kThread);
  Run({}, "k!ret_from_fork");
  Run({}, "note![cpu: not sampled]");
  Run({}, "note![truncated: stack copy ended];handle");
  Wait({}, "runqueue", "libc.so.6!clone3");
  Refine();

  EXPECT_EQ(Of(idle), "condition idle");
}

TEST_F(WaitReasonsTest, NamelessFramesAreFunctionsByTheirAddress) {
  const size_t only = Wait({.tid = 1}, "futex", kThread + "app!+0x10;app!+0x20;" + kCondition);
  const size_t handler = Wait({.tid = 2}, "futex", kThread + "app!+0x50;app!+0x60;" + kCondition);
  Run({.tid = 2}, kThread + "app!+0x50;app!+0x70");
  Refine();

  EXPECT_EQ(Of(only), "condition idle");
  EXPECT_EQ(Of(handler), "condition");
}

TEST_F(WaitReasonsTest, AThreadThatWasRenamedIsStillOneThread) {
  const size_t wait = Wait({.name = "old"}, "futex", kThread + "run_thread;handle;" + kCondition);
  Run({.name = "new"}, kThread + "run_thread;other");
  Refine();

  EXPECT_EQ(Of(wait), "condition");
}

// --- Time on the run queue ---

TEST_F(WaitReasonsTest, TheRunQueueAfterAnIdleWaitIsIdleToo) {
  const std::string loop = kThread + "worker;";
  const size_t idle = Wait({}, "futex", loop + kCondition);
  const size_t work = Wait({}, "futex", loop + "handle;" + kCondition);
  const size_t after_idle = Wait({}, "runqueue", loop + kCondition);
  const size_t after_work = Wait({}, "runqueue", loop + "handle;" + kCondition);
  const size_t throttled = Wait({}, "throttled", loop + kCondition);
  const size_t elsewhere = Wait({}, "preempted", loop + "handle;compute");
  const size_t other_thread = Wait({.tid = 102}, "runqueue", loop + kCondition);
  Refine();

  EXPECT_EQ(Of(idle), "condition idle");
  EXPECT_EQ(Of(work), "condition");
  EXPECT_EQ(Of(after_idle), "runqueue idle");
  EXPECT_EQ(Of(after_work), "runqueue");
  EXPECT_EQ(Of(throttled), "throttled idle");
  EXPECT_EQ(Of(elsewhere), "preempted");
  EXPECT_EQ(Of(other_thread), "runqueue");
}

TEST_F(WaitReasonsTest, WhatWasDoneToAThreadIsNeverIdle) {
  const std::string loop = kThread + "worker;";
  Wait({}, "futex", loop + kCondition);
  const size_t stopped = Wait({}, "stopped", loop + kCondition);
  const size_t frozen = Wait({}, "frozen", loop + kCondition);
  const size_t traced = Wait({}, "traced", loop + kCondition);
  const size_t unknown = Wait({}, "unknown", loop + kCondition);
  Refine();

  EXPECT_EQ(Of(stopped), "stopped");
  EXPECT_EQ(Of(frozen), "frozen");
  EXPECT_EQ(Of(traced), "traced");
  EXPECT_EQ(Of(unknown), "unknown");
}

// --- The profile around it ---

TEST_F(WaitReasonsTest, LabelsKeepTheirPlaceAndNewOnesStandLast) {
  const size_t wait = Wait({}, "poll", kMain + kEpoll, {{"syscall", "epoll_wait"}});
  const size_t tls =
      Wait({}, "socket", kMain + "libssl.so.3!SSL_read;" + kRecv, {{"peer", "10.0.0.1:443"}});
  Refine();

  EXPECT_THAT(LabelKeys(wait),
              ElementsAre("thread", "pid", "tid", "wait", "syscall", "process", "idle"));
  EXPECT_THAT(LabelKeys(tls),
              ElementsAre("thread", "pid", "tid", "wait", "peer", "process", "tls"));
  EXPECT_EQ(after_.TextLabel(after_.samples[tls], "peer"), "10.0.0.1:443");
}

TEST_F(WaitReasonsTest, WaitsThatBecomeEqualAreAddedUpWithTheirTimes) {
  const std::string stack = kMain + "work;libc.so.6!pthread_mutex_lock;" + kKernelFutex;
  Wait({}, "mutex", stack);
  Run({}, kMain + "work");
  Wait({}, "futex", stack);
  Wait({}, "sleep", kMain + "libc.so.6!nanosleep");
  Refine();

  EXPECT_THAT(Rows(after_), ElementsAre("mutex 2002", " 300", "sleep 1003"));
  EXPECT_EQ(after_.wait_times.at(0).count, 2U);
  EXPECT_EQ(after_.wait_times.at(0).total, 2002U);
  EXPECT_EQ(after_.wait_times.at(2).total, 1003U);
  EXPECT_EQ(after_.wait_times.size(), 2U);
}

TEST_F(WaitReasonsTest, AProfileWithoutWaitsPassesUnchanged) {
  Run({}, kMain + "work;libc.so.6!pthread_mutex_lock");
  Run({}, kMain + "work");
  const Profile after = RefineWaits(builder_.profile());

  EXPECT_EQ(after.samples.size(), builder_.profile().samples.size());
  EXPECT_EQ(after.strings, builder_.profile().strings);
  EXPECT_EQ(after.locations.size(), builder_.profile().locations.size());
  EXPECT_EQ(after.values, builder_.profile().values);
}

TEST_F(WaitReasonsTest, AKindThatIsNotKnownStays) {
  const size_t later = Wait({}, "quantum", kMain + kEpoll);
  Refine();

  EXPECT_EQ(Of(later), "quantum");
}

TEST_F(WaitReasonsTest, HeaderAndUnknownFieldsStay) {
  Wait({}, "futex", kMain + kCondition);
  builder_.header().unknown_fields = "kept";
  builder_.header().period = 10'101'010;
  builder_.header().comments = {builder_.AddString("a comment")};
  Refine();

  EXPECT_EQ(after_.unknown_fields, "kept");
  EXPECT_EQ(after_.period, 10'101'010);
  EXPECT_EQ(after_.Text(after_.comments.at(0)), "a comment");
}

}  // namespace
}  // namespace whyslow
