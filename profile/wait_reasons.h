// What names tell about waits: which lock a futex is, that a socket belongs to TLS or to the
// resolver, that a thread is idle.
#pragma once

#include "profile/profile.h"

namespace whyslow {

// For a profile with names. Where frames above a wait tell more than the system call did, the
// sample gets another leaf `[wait: KIND]` and label `wait`; a wait of a thread that has nothing to
// do gets the label idle=yes. Samples that become equal are added up; all sums stay. Once.
Profile RefineWaits(Profile profile);

}  // namespace whyslow
