// The scripts and styles of our pages (exporters/viewer/), built into the program.
#pragma once

#include <string_view>

namespace whyslow {

extern const std::string_view kViewerFlamegraphCss;
extern const std::string_view kViewerFlamegraphJs;

}  // namespace whyslow
