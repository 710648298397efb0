// Makes a long recording of a short one: its samples again and again, each round later than the one
// before, until there are as many as wanted. The first round has everything else too.
// Usage: repeat_recording RECORDING SAMPLES >RECORDING. Not compressed, so that a pipe into
// `whyslow replay /dev/stdin` is not the slowest part.
#include <absl/strings/numbers.h>

#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sampler/recording/message_file.h"
#include "sampler/recording/proto/events.pb.h"

namespace whyslow {
namespace {

using recording::Entry;

void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<char>(value | 0x80));
  }
  out.push_back(static_cast<char>(value));
}

// A message as the file has it, behind its length. False: the pipe is closed.
bool Write(std::string_view head, std::string_view rest) {
  std::string length;
  AppendVarint(length, head.size() + rest.size());
  for (const std::string_view part : {std::string_view(length), head, rest}) {
    if (std::fwrite(part.data(), 1, part.size(), stdout) != part.size()) {
      return false;
    }
  }
  return true;
}

// An entry without its time, which is put before it: fields may come in any order.
struct Repeated {
  int64_t when = 0;
  std::string bytes;
  int64_t run_time = -1;  // of a thread until then; -1: it is a sample
  int32_t tid = 0;
};

// What each thread ran in one round; its account has to go on from there.
struct RunTimes {
  int64_t first = 0;
  int64_t last = 0;
};

class Repeater {
 public:
  bool Read(MessageReader& reader) {
    for (;;) {
      const auto message = reader.Next();
      Entry entry;
      if (!message.ok() || !*message ||
          !entry.ParseFromArray((*message)->data(), static_cast<int>((*message)->size()))) {
        return false;
      }
      if (entry.has_end()) {
        length_ = entry.when() - begin_;
        return !repeated_.empty();
      }
      Take(entry);
    }
  }

  bool WriteAll(uint64_t samples) {
    uint64_t written = 0;
    for (const std::string& entry : once_) {
      if (!Write(entry, {})) {
        return false;
      }
    }
    uint64_t entries = once_.size();
    int64_t shift = 0;
    for (int64_t round = 0; written < samples; ++round) {
      shift = round * length_;
      for (const Repeated& entry : repeated_) {
        if (written == samples) {
          break;
        }
        written += entry.run_time < 0 ? 1 : 0;
        ++entries;
        if (!WriteLater(entry, shift, round)) {
          return false;
        }
      }
    }
    Entry end;
    end.set_when(begin_ + shift + length_);
    end.mutable_end()->set_entries(entries);
    return Write(end.SerializeAsString(), {}) && std::fflush(stdout) == 0;
  }

 private:
  void Take(Entry& entry) {
    const bool is_account = entry.has_run_time() && !entry.run_time().is_baseline();
    if (begin_ == 0) {
      begin_ = entry.when();
    }
    if (entry.has_run_time()) {
      RunTimes& times =
          run_times_.try_emplace(entry.tid(), RunTimes{entry.run_time().total(), 0}).first->second;
      times.last = entry.run_time().total();
    }
    if (!entry.has_sample() && !is_account) {
      // Threads live on from round to round.
      if (!entry.has_exited()) {
        once_.push_back(entry.SerializeAsString());
      }
      return;
    }
    Repeated repeated{.when = entry.when(), .tid = entry.tid()};
    entry.clear_when();
    if (is_account) {
      repeated.run_time = entry.run_time().total();
    }
    repeated.bytes = entry.SerializeAsString();
    repeated_.push_back(std::move(repeated));
  }

  bool WriteLater(const Repeated& entry, int64_t shift, int64_t round) {
    head_.clear();
    head_.push_back('\x08');  // field 1, a varint: Entry.when
    AppendVarint(head_, static_cast<uint64_t>(entry.when + shift));
    if (entry.run_time < 0) {
      return Write(head_, entry.bytes);
    }
    Entry account;
    account.ParseFromString(entry.bytes);
    const RunTimes& times = run_times_.at(entry.tid);
    account.mutable_run_time()->set_total(entry.run_time + round * (times.last - times.first));
    return Write(head_, account.SerializeAsString());
  }

  int64_t begin_ = 0;
  int64_t length_ = 0;
  std::vector<std::string> once_;
  std::vector<Repeated> repeated_;
  std::map<int32_t, RunTimes> run_times_;
  std::string head_;
};

int Run(const std::string& path, uint64_t samples) {
  absl::StatusOr<MessageReader> reader = MessageReader::Open(path);
  if (!reader.ok()) {
    std::fprintf(stderr, "%s\n", std::string(reader.status().message()).c_str());
    return 1;
  }
  const auto header = reader->Next();
  if (!header.ok() || !*header || !Write(**header, {})) {
    return 1;
  }
  Repeater repeater;
  if (!repeater.Read(*reader)) {
    std::fprintf(stderr, "%s: no whole recording with samples\n", path.c_str());
    return 1;
  }
  return repeater.WriteAll(samples) ? 0 : 1;
}

}  // namespace
}  // namespace whyslow

int main(int argc, char** argv) {
  uint64_t samples = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[2], &samples)) {
    std::fprintf(stderr, "Usage: repeat_recording RECORDING SAMPLES >RECORDING\n");
    return 2;
  }
  return whyslow::Run(argv[1], samples);
}
