// Frames that nobody wants to see.
#pragma once

#include <string_view>

#include "profile/profile.h"

namespace whyslow {

// Takes frames of the function out of all stacks; their callers call what they called. Locations
// where it is inlined into another function, or another one into it, stay.
void LeaveOut(Profile& profile, std::string_view function);

}  // namespace whyslow
