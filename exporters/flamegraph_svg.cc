#include "exporters/flamegraph_svg.h"

#include <absl/container/flat_hash_map.h>

#include <string>
#include <vector>

#include "exporters/clean_text.h"
#include "exporters/flame_colors.h"
#include "exporters/profile_title.h"
#include "exporters/shown_stack.h"
#include "exporters/shown_value.h"
#include "exporters/static_flamegraph.h"
#include "exporters/viewer_files.h"
#include "profile/flame_tree.h"

namespace whyslow {
namespace {

// Whole numbers up to here are exact in a script: 104 days in nanoseconds.
constexpr int64_t kLargestExact = int64_t{1} << 53;

// The data that viewer/flamegraph.js reads: frames once each, and the tree as triples in the order
// of a walk (frame, levels to go up first, own value), so that 50,000 frames stay below a megabyte;
// then pairs of a node's place in that order and how many waits end there.
class DataWriter {
 public:
  DataWriter(const FlamegraphPicture& picture, std::ostream& out) : picture_(picture), out_(out) {}

  void Write() {
    const bool in_microseconds =
        picture_.shown.unit == "nanoseconds" && picture_.tree.root().total > kLargestExact;
    out_ << "{\"version\":1,\"title\":" << QuoteJson(picture_.title.target)
         << ",\n\"details\":" << QuoteJson(picture_.title.details)
         << ",\n\"type\":" << QuoteJson(picture_.shown.type) << ",\"unit\":"
         << QuoteJson(in_microseconds ? std::string("microseconds") : picture_.shown.unit)
         << ",\"negative\":" << picture_.tree.negative_samples_left_out;
    WriteKinds();
    WriteFrames();
    WriteNodes(in_microseconds ? 1000 : 1);
    out_ << "}";
  }

 private:
  void WriteKinds() {
    out_ << ",\n\"kinds\":{";
    std::string_view comma;
    for (const auto& [kind, words] : FlameKinds()) {
      out_ << comma << QuoteJson(kind) << ':' << QuoteJson(words);
      comma = ",";
    }
    out_ << "},\n\"legend\":[";
    comma = "";
    for (const auto& [color, words] : picture_.colors.legend()) {
      out_ << comma << '[' << QuoteJson(color) << ',' << QuoteJson(words) << ']';
      comma = ",";
    }
    out_ << ']';
  }

  void WriteFrames() {
    absl::flat_hash_map<std::string, size_t> module_rows;
    std::vector<std::string> modules;
    out_ << ",\n\"frames\":[";
    std::string_view comma = "\n";
    for (const FlameFrame& frame : picture_.tree.frames) {
      const auto [row, is_new] = module_rows.try_emplace(frame.module_path, modules.size());
      if (is_new) {
        modules.push_back(frame.module_path);
      }
      out_ << comma << '[' << QuoteJson(frame.name) << ",\"" << picture_.colors.ClassOf(frame)
           << "\"," << row->second << ',' << QuoteJson(frame.file) << ']';
      comma = ",\n";
    }
    out_ << "],\n\"modules\":[";
    comma = "";
    for (const std::string& module : modules) {
      out_ << comma << QuoteJson(module);
      comma = ",";
    }
    out_ << ']';
  }

  void WriteNodes(int64_t divisor) {
    const std::vector<FlameNode>& nodes = picture_.tree.nodes;
    std::vector<int64_t> own;
    for (const FlameNode& node : nodes) {
      own.push_back(node.self);
    }
    own = DivideKeepingTheSum(own, divisor);
    out_ << ",\n\"self\":" << own[0] << ",\"nodes\":[";
    // (node, its depth), the next one to write last.
    std::vector<std::pair<uint32_t, int>> pending;
    int depth = 0;
    const auto push_children = [&](const FlameNode& node, int at) {
      for (size_t i = node.children.size(); i-- > 0;) {
        pending.emplace_back(node.children[i], at);
      }
    };
    push_children(nodes[0], 1);
    std::string_view comma;
    std::string waits;
    for (size_t written = 1; !pending.empty(); ++written) {
      const auto [index, at] = pending.back();
      pending.pop_back();
      out_ << comma << nodes[index].frame << ',' << depth + 1 - at << ',' << own[index];
      comma = ",";
      depth = at;
      push_children(nodes[index], at + 1);
      if (nodes[index].waits > 0) {
        waits += waits.empty() ? "" : ",";
        waits += std::to_string(written) + "," + std::to_string(nodes[index].waits);
      }
    }
    out_ << "],\n\"waits\":[" << waits << ']';
  }

  const FlamegraphPicture& picture_;
  std::ostream& out_;
};

void WriteDocument(const FlamegraphPicture& picture, std::ostream& out) {
  const std::string name = EscapeXml(picture.title.target);
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      << "<svg class=\"page\" xmlns=\"http://www.w3.org/2000/svg\" width=\"" << kFlamegraphWidth
      << "\" height=\"" << StaticFlamegraphHeight(picture) << "\">\n"
      << "<title>" << name << ": flame graph</title>\n"
      << "<style><![CDATA[\n"
      << kViewerFlamegraphCss << "]]></style>\n"
      << "<rect class=\"backdrop\" width=\"100%\" height=\"100%\"/>\n"
      << "<g id=\"static\">\n";
  WriteStaticFlamegraph(picture, out);
  out << "</g>\n<script id=\"profile-data\" type=\"application/json\"><![CDATA[\n";
  DataWriter(picture, out).Write();
  out << "\n]]></script>\n<script><![CDATA[\n" << kViewerFlamegraphJs << "]]></script>\n</svg>\n";
}

}  // namespace

absl::Status FlamegraphSvgExporter::Write(const Profile& profile, std::ostream& out) const {
  const ShownValue shown = ShownValueOf(profile);
  const bool has_values = !profile.value_types.empty();
  const FlameTree tree =
      MakeFlameTree(has_values ? profile : Profile(), shown.column,
                    [&](size_t index, std::vector<FlameFrame>& root_first) {
                      AppendShownStack(profile, profile.samples[index], options_, root_first);
                    });
  const FlameColors colors(tree);
  const ProfileTitle title = TitleOf(profile, shown, tree.root().total, options_.title);
  WriteDocument({tree, colors, title, shown}, out);
  return FinishStream(out);
}

}  // namespace whyslow
