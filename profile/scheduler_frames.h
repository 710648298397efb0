// The kernel's frames between a wait and the function that waits: the scheduler, and what watches
// it.
#pragma once

#include "profile/profile.h"

namespace whyslow {

// The stack without the kernel's frames at its leaf that say no more than that the thread stopped:
// __schedule, schedule_timeout, the tracing program itself. The same wait has more or fewer of
// them, as it was seen happening or was found asleep.
StackIndex WithoutSchedulerFrames(const Profile& profile, StackIndex stack);

}  // namespace whyslow
