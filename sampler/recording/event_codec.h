// Events to protobuf messages and back; for the recording's two ends only.
#pragma once

#include <optional>

#include "sampler/event.h"
#include "sampler/recording/proto/events.pb.h"
#include "sampler/recording/recording_header.h"

namespace whyslow {

void EncodeEvent(const Event& event, recording::Entry& entry);
// nullopt: a kind that this version does not know, or values that do not fit together.
std::optional<Event> DecodeEvent(const recording::Entry& entry, Architecture architecture);

recording::Header EncodeHeader(const RecordingHeader& header);
RecordingHeader DecodeHeader(const recording::Header& header);

}  // namespace whyslow
