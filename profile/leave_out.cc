#include "profile/leave_out.h"

#include <vector>

namespace whyslow {

void LeaveOut(Profile& profile, std::string_view function) {
  std::vector<bool> is_out;
  bool any = false;
  for (const Location& location : profile.locations) {
    const bool out = location.lines.size() == 1 && location.lines[0].function.valid() &&
                     profile.Text(profile.FunctionAt(location.lines[0].function).name) == function;
    is_out.push_back(out);
    any |= out;
  }
  if (!any) {
    return;
  }
  // Parents stand before their children.
  std::vector<StackIndex> now;
  for (uint32_t i = 0; i < profile.stacks.size(); ++i) {
    StackNode& node = profile.stacks[i];
    if (node.parent.valid()) {
      node.parent = now[node.parent.value()];
    }
    now.push_back(is_out[node.location.value()] ? node.parent : StackIndex(i));
  }
  for (Sample& sample : profile.samples) {
    if (sample.stack.valid()) {
      sample.stack = now[sample.stack.value()];
    }
  }
}

}  // namespace whyslow
