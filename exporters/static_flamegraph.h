// The flame graph as a still picture, for viewers that run no script.
#pragma once

#include <ostream>

#include "exporters/flame_colors.h"
#include "exporters/profile_title.h"
#include "exporters/shown_value.h"
#include "profile/flame_tree.h"

namespace whyslow {

struct FlamegraphPicture {
  const FlameTree& tree;
  const FlameColors& colors;
  const ProfileTitle& title;
  const ShownValue& shown;
};

inline constexpr int kFlamegraphWidth = 1200;

// Pixels from top to bottom, all rows and the footer included.
int StaticFlamegraphHeight(const FlamegraphPicture& picture);

// Elements only; the svg element around them is the caller's. Names are cut off by their boxes.
void WriteStaticFlamegraph(const FlamegraphPicture& picture, std::ostream& out);

}  // namespace whyslow
