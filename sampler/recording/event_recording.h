// Events kept in a file while they pass, and given again later: for tests and bug reports.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sampler/event.h"
#include "sampler/recording/message_file.h"
#include "sampler/recording/recording_header.h"

namespace whyslow {

// Passes on another source's events and writes each of them down.
class RecordingSource final : public EventSource {
 public:
  static absl::StatusOr<std::unique_ptr<RecordingSource>> Create(
      const std::string& path, const RecordingHeader& header, std::unique_ptr<EventSource> source);

  // Writing that fails (a full disk) stops the writing, not the profile.
  bool Read(std::vector<Event>& out) override;
  void Stop() override { source_->Stop(); }
  Instant ended_at() const override { return source_->ended_at(); }

  // Completes the file, which has its name only from then on. `ended_at`: when the sampling ended.
  // Gives the first failure of all, so call it even after one.
  absl::Status Finish(Instant ended_at);

 private:
  RecordingSource(MessageWriter writer, std::unique_ptr<EventSource> source)
      : writer_(std::move(writer)), source_(std::move(source)) {}

  MessageWriter writer_;
  std::unique_ptr<EventSource> source_;
  uint64_t written_ = 0;
  absl::Status status_;
  std::string message_;  // a member to keep its memory
};

// Gives a recording's events as they came, without their waits. Mapped files are not in it.
class ReplaySource final : public EventSource {
 public:
  // An error for what is no recording, or one of a version that is unknown here.
  static absl::StatusOr<std::unique_ptr<ReplaySource>> Open(const std::string& path);

  const RecordingHeader& header() const { return header_; }
  bool Read(std::vector<Event>& out) override;
  void Stop() override { stopped_ = true; }
  Instant ended_at() const override { return ended_at_; }
  // After Read gave false: whether that was the recording's end, or damage.
  const absl::Status& status() const { return status_; }

 private:
  ReplaySource(MessageReader reader, std::string path, RecordingHeader header)
      : reader_(std::move(reader)), path_(std::move(path)), header_(std::move(header)) {}
  // False at the end.
  bool ReadOne(std::vector<Event>& out);

  MessageReader reader_;
  std::string path_;
  RecordingHeader header_;
  uint64_t read_ = 0;
  bool ended_ = false;
  std::atomic<bool> stopped_ = false;
  Instant ended_at_;
  absl::Status status_;
};

}  // namespace whyslow
