#include "profile/wait_reasons.h"

namespace whyslow {

Profile RefineWaits(Profile profile) { return profile; }

}  // namespace whyslow
