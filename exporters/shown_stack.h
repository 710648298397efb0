// Stacks as folded, SVG and HTML show them: who runs in front, files of Python functions, and the
// peer of a wait.
#pragma once

#include <string>
#include <vector>

#include "exporters/exporter.h"
#include "profile/flame_tree.h"
#include "profile/profile.h"

namespace whyslow {

// Appends the frames of a sample, root first: the leading ones that `options.roots` asks for, then
// the stack. Names are clean (clean_text.h):
//   "read_[k]"  "get (views.py)"  "get (views.py:12)"  "[libc.so.6+0x8a3f]"
//   "[wait: socket 127.0.0.1:5432 postgresql]"  "[wait: file /var/lib/x.db]"
//   "[truncated: stack copy ended]"
void AppendShownStack(const Profile& profile, const Sample& sample, const ExportOptions& options,
                      std::vector<FlameFrame>& root_first);

// The last part of a path; "[vdso]" and the like as they are.
std::string_view BaseNameOf(std::string_view path);

}  // namespace whyslow
