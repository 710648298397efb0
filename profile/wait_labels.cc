#include "profile/wait_labels.h"

#include <algorithm>

#include "profile/wait_names.h"

namespace whyslow {
namespace {

std::string_view PortOf(std::string_view peer) {
  const size_t colon = peer.rfind(':');
  const bool is_address = colon != std::string_view::npos && colon + 1 < peer.size() &&
                          peer.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
  return is_address ? peer.substr(colon + 1) : peer;
}

}  // namespace

WaitLabelReader::WaitLabelReader(const Profile& profile)
    : profile_(profile),
      sets_(profile.label_sets.size() + 1),
      is_read_(profile.label_sets.size() + 1) {}

const WaitLabels& WaitLabelReader::Read(LabelSetIndex labels) {
  const size_t place = labels.valid() ? labels.value() : sets_.size() - 1;
  if (!is_read_[place]) {
    is_read_[place] = true;
    sets_[place] = ReadOnce(labels);
  }
  return sets_[place];
}

WaitLabels WaitLabelReader::ReadOnce(LabelSetIndex labels) {
  const Sample sample{.stack = {}, .labels = labels};
  const auto number = [&](std::string_view key) {
    return profile_.NumberLabel(sample, key).value_or(-1);
  };
  const std::string_view peer = profile_.TextLabel(sample, "peer");
  const int64_t tid = number("tid");
  // A thread may change its name, but not its number.
  const std::string_view name = tid < 0 ? profile_.TextLabel(sample, "thread") : std::string_view();
  WaitLabels out;
  out.process_name = NumberOf(process_names_, profile_.TextLabel(sample, "process"));
  out.process = NumberOf(processes_, std::tuple(out.process_name, number("pid")));
  out.thread = NumberOf(threads_, std::tuple(out.process, tid, name));
  out.peer_port = PortOf(peer);
  out.to_resolver = profile_.TextLabel(sample, "protocol") == "dns" || IsResolverPeer(peer);
  return out;
}

}  // namespace whyslow
