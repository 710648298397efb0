#include "sampler/recording/event_recording.h"

#include <absl/strings/str_format.h>
#include <unistd.h>

#include <utility>
#include <variant>

#include "base/status.h"
#include "elf/elf_file.h"
#include "sampler/recording/event_codec.h"

namespace whyslow {
namespace {

constexpr char kMagic[] = "whyslow events";
constexpr uint32_t kVersion = 1;
constexpr size_t kEventsPerRead = 1024;

bool Parse(std::string_view bytes, google::protobuf::MessageLite& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// Where the recording is replayed, the same file may have another inode.
void AddBuildId(MappingAdded& mapping) {
  const auto elf = ElfFile::Open(UniqueFd(dup(mapping.file->get())), mapping.path);
  if (elf.ok()) {
    mapping.build_id = elf->build_id();
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordingSource>> RecordingSource::Create(
    const std::string& path, const RecordingHeader& header, std::unique_ptr<EventSource> source) {
  ASSIGN_OR_RETURN(MessageWriter writer, MessageWriter::Create(path));
  recording::Header message = EncodeHeader(header);
  message.set_magic(kMagic);
  message.set_version(kVersion);
  RETURN_IF_ERROR(writer.Write(message.SerializeAsString()));
  return std::unique_ptr<RecordingSource>(
      new RecordingSource(std::move(writer), std::move(source)));
}

bool RecordingSource::Read(std::vector<Event>& out) {
  const size_t before = out.size();
  const bool more = source_->Read(out);
  recording::Entry entry;
  for (size_t i = before; i < out.size() && status_.ok(); ++i, ++written_) {
    auto* const mapping = std::get_if<MappingAdded>(&out[i].what);
    if (mapping != nullptr && mapping->file != nullptr) {
      AddBuildId(*mapping);
    }
    EncodeEvent(out[i], entry);
    entry.SerializeToString(&message_);
    status_ = writer_.Write(message_);
  }
  return more;
}

absl::Status RecordingSource::Finish(Instant ended_at) {
  if (status_.ok()) {
    recording::Entry entry;
    entry.set_when(ended_at.time_since_epoch().count());
    entry.mutable_end()->set_entries(written_);
    status_ = writer_.Write(entry.SerializeAsString());
  }
  if (!status_.ok()) {
    return status_;  // the unfinished file goes with the writer
  }
  return writer_.Close();
}

absl::StatusOr<std::unique_ptr<ReplaySource>> ReplaySource::Open(const std::string& path) {
  ASSIGN_OR_RETURN(MessageReader reader, MessageReader::Open(path));
  const auto first = reader.Next();
  recording::Header message;
  if (!first.ok() || !*first || !Parse(**first, message) || message.magic() != kMagic) {
    return MakeStatus(absl::StatusCode::kInvalidArgument,
                      path + ": this is no recording. `--record FILE` makes one");
  }
  if (message.version() != kVersion) {
    return MakeStatus(
        absl::StatusCode::kInvalidArgument,
        absl::StrFormat("%s: the recording has version %u, and this whyslow reads version %u. "
                        "Replay it with whyslow %s",
                        path, message.version(), kVersion, message.whyslow_version()));
  }
  return std::unique_ptr<ReplaySource>(
      new ReplaySource(std::move(reader), path, DecodeHeader(message)));
}

bool ReplaySource::ReadOne(std::vector<Event>& out) {
  const auto next = reader_.Next();
  recording::Entry entry;
  if (!next.ok()) {
    status_ = next.status();
    return false;
  }
  if (!*next || !Parse(**next, entry) || (entry.has_end() && entry.end().entries() != read_)) {
    status_ = MakeStatus(
        absl::StatusCode::kDataLoss,
        absl::StrFormat("%s: the recording is incomplete after %u events", path_, read_));
    return false;
  }
  if (entry.has_end()) {
    ended_at_ = Instant(Nanoseconds(entry.when()));
    return false;
  }
  ++read_;
  if (std::optional<Event> event = DecodeEvent(entry, header_.architecture())) {
    out.push_back(*std::move(event));
  }
  return true;
}

bool ReplaySource::Read(std::vector<Event>& out) {
  const size_t before = out.size();
  while (!ended_ && !stopped_ && out.size() - before < kEventsPerRead) {
    ended_ = !ReadOne(out);
  }
  return (!ended_ && !stopped_) || out.size() > before;
}

}  // namespace whyslow
