#include "tests/support/sample_profiles.h"

#include "profile/profile_builder.h"

namespace whyslow {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

// The words of a test: where code lies, what a stack is, who ran it.
class Scene {
 public:
  Scene() {
    builder_.SetValueTypes({{"cpu_samples", "count"},
                            {"cpu", "nanoseconds"},
                            {"waits", "count"},
                            {"wait", "nanoseconds"},
                            {"wall", "nanoseconds"}});
  }

  ProfileBuilder& builder() { return builder_; }

  ModuleIndex Mapping(std::string_view path, ModuleKind kind = ModuleKind::kFile) {
    const bool is_file = kind == ModuleKind::kFile;
    return builder_.AddModule(
        {.kind = kind,
         .path = builder_.AddString(path),
         .build_id = builder_.AddString(is_file ? "00112233445566778899aabbccddeeff00112233" : ""),
         .memory_start = is_file ? 0x1000U : 0U,
         .memory_limit = is_file ? 0x1000000U : 0U,
         .file_offset = is_file ? 0x1000U : 0U,
         .has_functions = true,
         .has_filenames = true,
         .has_line_numbers = true,
         .has_inline_frames = true});
  }

  FunctionIndex Function(std::string_view name, std::string_view system_name,
                         std::string_view file) {
    return builder_.AddFunction({.name = builder_.AddString(name),
                                 .system_name = builder_.AddString(system_name),
                                 .file = builder_.AddString(file),
                                 .start_line = 10});
  }

  LocationIndex Python(std::string_view name, std::string_view file, int64_t line) {
    return builder_.AddNamedLocation(Mapping("[python]", ModuleKind::kPython),
                                     Function(name, "", file), line);
  }
  LocationIndex Wait(std::string_view name) {
    return builder_.AddNamedLocation(Mapping("[wait]", ModuleKind::kWait), Function(name, "", ""),
                                     0);
  }
  LocationIndex Native(std::string_view module, uint64_t address, std::string_view name,
                       ModuleKind kind = ModuleKind::kFile) {
    return builder_.AddLocation(Location{.module = Mapping(module, kind),
                                         .address = address,
                                         .lines = {{Function(name, "", "/src/native.cc"), 42}}});
  }
  LocationIndex Kernel(std::string_view name, uint64_t address) {
    return Native("[kernel.kallsyms]", address, name, ModuleKind::kKernel);
  }
  LocationIndex Unresolved(std::string_view module, uint64_t address) {
    return builder_.AddLocation(Mapping(module), address);
  }

  LabelSetIndex Thread(int64_t pid, int64_t tid, std::string_view thread,
                       std::vector<Label> more = {}) {
    std::vector<Label> labels = {builder_.TextLabel("thread", thread),
                                 builder_.NumberLabel("pid", pid), builder_.NumberLabel("tid", tid),
                                 builder_.TextLabel("process", "gunicorn")};
    labels.insert(labels.end(), more.begin(), more.end());
    return builder_.AddLabels(labels);
  }

  void OnCpu(std::vector<LocationIndex> leaf_first, LabelSetIndex labels, int64_t samples) {
    const int64_t nanos = samples * 10 * kMillisecond;
    builder_.AddSample(builder_.AddStack(leaf_first), labels, {{samples, nanos, 0, 0, nanos}});
  }
  void Waiting(std::vector<LocationIndex> leaf_first, LabelSetIndex labels, int64_t count,
               int64_t milliseconds) {
    const int64_t nanos = milliseconds * kMillisecond;
    builder_.AddSample(builder_.AddStack(leaf_first), labels, {{0, 0, count, nanos, nanos}});
  }

  // Each wait with its duration in milliseconds.
  void Waits(std::vector<LocationIndex> leaf_first, LabelSetIndex labels,
             const std::vector<int64_t>& milliseconds) {
    DurationHistogram times;
    for (const int64_t each : milliseconds) {
      times.Add(static_cast<uint64_t>(each * kMillisecond));
    }
    const StackIndex stack = builder_.AddStack(leaf_first);
    const auto count = static_cast<int64_t>(times.count);
    const auto nanos = static_cast<int64_t>(times.total);
    builder_.AddSample(stack, labels, {{0, 0, count, nanos, nanos}});
    builder_.AddWaitTimes(stack, labels, times);
  }

  Profile Finish(std::string_view mode, std::string_view default_type) {
    Profile& header = builder_.header();
    header.default_sample_type = builder_.AddString(default_type);
    header.period_type = {builder_.AddString("cpu"), builder_.AddString("nanoseconds")};
    header.period = 10 * kMillisecond;
    header.time_nanos = 1'767'225'600'000'000'000;
    header.duration_nanos = 1000 * kMillisecond;
    header.comments.push_back(builder_.AddString("target: gunicorn (4711)"));
    header.comments.push_back(builder_.AddString("mode: " + std::string(mode)));
    return std::move(builder_).Build();
  }

 private:
  ProfileBuilder builder_;
};

LocationIndex InlinedParse(Scene& scene) {
  const FunctionIndex inner =
      scene.Function("std::vector<int, std::allocator<int> >::push_back(int const&)",
                     "_ZNSt6vectorIiSaIiEE9push_backERKi", "/usr/include/c++/12/bits/vector.h");
  const FunctionIndex outer =
      scene.Function("json::Parse(std::basic_string_view<char>)",
                     "_ZN4json5ParseESt17basic_string_viewIcE", "/src/json/parse.cc");
  return scene.builder().AddLocation(Location{.module = scene.Mapping("/usr/lib/libjson.so.2"),
                                              .address = 0x2345,
                                              .lines = {{inner, 1200, 7}, {outer, 88, 0}}});
}

}  // namespace

Profile ServerProfile() {
  Scene scene;
  const LocationIndex start = scene.Native("/usr/bin/python3.11", 0x1100, "_start");
  const LocationIndex eval =
      scene.Native("/usr/bin/python3.11", 0x2200, "_PyEval_EvalFrameDefault");
  const LocationIndex serve = scene.Python("Worker.serve", "/srv/app/worker.py", 31);
  const LocationIndex handle = scene.Python("handle", "/srv/app/views.py", 12);
  const LocationIndex query = scene.Python("Cursor.execute", "/srv/lib/psycopg/cursor.py", 97);
  const LocationIndex receive = scene.Kernel("tcp_recvmsg", 0xffffffff81a00010);
  const LocationIndex pq = scene.Native("/usr/lib/libpq.so.5", 0x3300, "PQgetResult");
  const LocationIndex main_loop = scene.Python("Arbiter.run", "/srv/app/arbiter.py", 7);
  const LabelSetIndex worker =
      scene.Thread(4711, 4712, "worker-1",
                   {scene.builder().TextLabel("endpoint", "GET /users/<id>"),
                    scene.builder().NumberLabel("bytes", 512, "bytes")});
  const LabelSetIndex sql = scene.Thread(4711, 4712, "worker-1",
                                         {scene.builder().TextLabel("wait", "socket"),
                                          scene.builder().TextLabel("peer", "127.0.0.1:5432"),
                                          scene.builder().TextLabel("protocol", "postgresql")});
  const LabelSetIndex main = scene.Thread(4711, 4711, "MainThread");

  scene.OnCpu({InlinedParse(scene), handle, serve, eval, start}, worker, 20);
  scene.OnCpu({scene.Unresolved("/usr/lib/libc.so.6", 0x8a3f), handle, serve, eval, start}, worker,
              5);
  scene.OnCpu({receive, pq, query, handle, serve, eval, start}, worker, 10);
  scene.Waiting({scene.Wait("[wait: socket]"), receive, pq, query, handle, serve, eval, start}, sql,
                5, 250);
  scene.OnCpu({scene.Native("[jit]", 0x7f0000001000, "LazyCompile:~render /app/render.js:3",
                            ModuleKind::kJit),
               serve, eval, start},
              worker, 10);
  scene.OnCpu({eval, scene.builder().AddNote("[truncated: stack copy ended]")}, worker, 5);
  scene.Waiting({scene.Wait("[wait: sleep]"), scene.Kernel("hrtimer_nanosleep", 0xffffffff81200020),
                 main_loop, eval, start},
                main, 2, 250);
  return scene.Finish("wall", "wall");
}

namespace {

// A thread of the waiting server, and the labels of its waits.
class WaitingThread {
 public:
  WaitingThread(Scene& scene, int64_t tid, std::string name)
      : scene_(scene), tid_(tid), name_(std::move(name)) {}

  LabelSetIndex OnCpu() { return scene_.Thread(4711, tid_, name_); }
  // "wait=KIND" and the others as pairs of key and text.
  LabelSetIndex Waiting(
      std::string_view kind,
      const std::vector<std::pair<std::string_view, std::string_view>>& more = {}) {
    std::vector<Label> labels = {scene_.builder().TextLabel("wait", kind)};
    for (const auto& [key, text] : more) {
      labels.push_back(scene_.builder().TextLabel(key, text));
    }
    return scene_.Thread(4711, tid_, name_, labels);
  }

 private:
  Scene& scene_;
  int64_t tid_;
  std::string name_;
};

}  // namespace

Profile WaitingProfile() {
  Scene scene;
  const auto own = [&](uint64_t address, std::string_view name, std::string_view file,
                       int64_t line) {
    return scene.builder().AddLocation(Location{.module = scene.Mapping("/usr/bin/server"),
                                                .address = address,
                                                .lines = {{scene.Function(name, "", file), line}}});
  };
  const auto libc = [&](uint64_t address, std::string_view name) {
    return scene.Native("/usr/lib/x86_64-linux-gnu/libc.so.6", address, name);
  };
  const auto wait = [&](std::string_view kind) {
    return scene.Wait("[wait: " + std::string(kind) + "]");
  };
  const LocationIndex schedule = scene.Kernel("schedule", 0xffffffff81000010);
  const LocationIndex tcp = scene.Kernel("tcp_recvmsg", 0xffffffff81a00010);
  const LocationIndex futex = scene.Kernel("futex_wait", 0xffffffff81b00010);
  const LocationIndex start = libc(0x100, "start_thread");
  const LocationIndex job = own(0x1000, "Worker::Run", "/src/worker.cc", 40);
  const LocationIndex query = own(0x1100, "Query", "/src/db.cc", 21);
  const LocationIndex receive = libc(0x200, "recv");

  int64_t tid = 4712;
  for (const char* name : {"worker-1", "worker-2"}) {
    WaitingThread worker(scene, tid++, name);
    const std::vector<std::pair<std::string_view, std::string_view>> postgres = {
        {"peer", "127.0.0.1:5432"}, {"protocol", "postgresql"}, {"syscall", "recvfrom"}};
    scene.OnCpu({own(0x1200, "Render", "/src/page.cc", 7), job, start}, worker.OnCpu(), 100);
    scene.Waits({wait("socket"), schedule, tcp, receive, query, job, start},
                worker.Waiting("socket", postgres), std::vector<int64_t>(12, 50));
    scene.Waiting({wait("runqueue"), schedule, tcp, receive, query, job, start},
                  worker.Waiting("runqueue", postgres), 0, 1);
    scene.Waits({wait("mutex"), schedule, futex, libc(0x300, "pthread_mutex_lock"),
                 own(0x1300, "std::mutex::lock", "/usr/include/c++/12/bits/std_mutex.h", 100),
                 own(0x1310, "Cache::Get", "/src/cache.cc", 88), job, start},
                worker.Waiting("mutex", {{"waker", "worker-9"}}), {1, 2, 3, 94});
    scene.Waits({wait("condition"), schedule, futex, libc(0x310, "pthread_cond_wait"),
                 own(0x1400, "NextJob", "/src/pool.cc", 15), job, start},
                worker.Waiting("condition", {{"idle", "yes"}}), {1500, 1500, 1500});
  }
  WaitingThread main(scene, 4711, "server");
  const LocationIndex loop = own(0x2000, "main", "/src/main.cc", 12);
  const auto once = [&](std::string_view kind, uint64_t address, std::string_view function,
                        const std::vector<std::pair<std::string_view, std::string_view>>& labels,
                        const std::vector<int64_t>& milliseconds) {
    scene.Waits({wait(kind), schedule, own(address, function, "/src/main.cc", 30), loop},
                main.Waiting(kind, labels), milliseconds);
  };
  once("accept", 0x2100, "Listen", {{"peer", "0.0.0.0:8080"}, {"idle", "yes"}}, {4000});
  once("tls", 0x2200, "Fetch",
       {{"peer", "10.0.0.1:443"}, {"protocol", "https"}, {"tls", "handshake"}}, {30, 50});
  once("file", 0x2300, "Log", {{"file", "/var/lib/x.db"}}, {5, 5, 10});
  once("syscall", 0x2400, "Seed", {{"syscall", "getrandom"}}, {7});
  once("poll", 0x2500, "Loop", {{"peer", "127.0.0.1:6379"}, {"protocol", "redis"}}, {40, 60});
  once("sleep", 0x2600, "Backoff", {}, {200});
  once("child", 0x2700, "Convert", {}, {150});
  once("stopped", 0x2800, "Convert", {}, {80});
  scene.Waiting({wait("throttled"), loop}, main.Waiting("throttled"), 3, 120);
  Profile profile = scene.Finish("wall", "wall");
  profile.duration_nanos = 10'000 * kMillisecond;
  return profile;
}

Profile CpuProfile() {
  Scene scene;
  const LocationIndex main = scene.Native("/usr/bin/server", 0x1100, "main");
  const LabelSetIndex thread = scene.Thread(7, 7, "server");
  scene.OnCpu({scene.Native("/usr/bin/server", 0x1200, "sort"), main}, thread, 70);
  scene.OnCpu({scene.Kernel("copy_page", 0xffffffff81000000), main}, thread, 30);
  return scene.Finish("cpu", "cpu");
}

std::vector<std::string> HostileNames() {
  return {"<script>alert(document.title='owned')</script>",
          "]]><svg onload=\"document.title='owned'\"/>",
          "quotes \" and ' and &amp; & <b>",
          "semi;colon",
          "line\nbreak\ttab\r",
          std::string("nul\0esc\x1b[31m", 11),
          "bad utf-8 \xff\xc3(\xed\xa0\x80",
          "right to left \xe2\x80\xae evil",
          "{\"json\": \"\\u0000\"} ${injection} `tick`",
          "<foreignObject><iframe src=\"javascript:document.title='owned'\"/></foreignObject>",
          "日本語の関数名",
          "   ",
          std::string(5000, 'x')};
}

Profile HostileProfile() {
  Scene scene;
  for (const std::string& name : HostileNames()) {
    const LabelSetIndex labels = scene.Thread(1, 2, "thread " + name);
    scene.OnCpu({scene.Native("/lib/" + name, 0x1000, name), scene.Native("/bin/a", 0x10, "main")},
                labels, 1);
    scene.OnCpu({scene.Python(name, "/app/" + name + ".py", 3)}, labels, 1);
  }
  Profile profile = scene.Finish("wall", "wall");
  profile.strings[profile.comments[0].value()] = "target: " + HostileNames()[1];
  return profile;
}

Profile LargeProfile(uint32_t frames, uint32_t depth) {
  Scene scene;
  const LabelSetIndex labels = scene.Thread(1, 2, "worker");
  uint64_t state = 88172645463325252;  // xorshift: the same numbers everywhere
  const auto random = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  uint32_t made = 0;
  std::vector<LocationIndex> root_first;
  while (made < frames) {
    // The next stack shares a random part of its callers with the one before.
    root_first.resize(root_first.empty() ? 0 : random() % root_first.size());
    const size_t goal = 1 + random() % depth;
    while (root_first.size() < goal) {
      const uint64_t id = random() % 5000;
      root_first.push_back(scene.Native("/usr/lib/module" + std::to_string(id % 23) + ".so",
                                        0x1000 + id,
                                        "component::function_" + std::to_string(id) + "(int)"));
      ++made;
    }
    const std::vector<LocationIndex> leaf_first(root_first.rbegin(), root_first.rend());
    scene.OnCpu(leaf_first, labels, 1 + static_cast<int64_t>(random() % 20));
  }
  return scene.Finish("wall", "wall");
}

}  // namespace whyslow
