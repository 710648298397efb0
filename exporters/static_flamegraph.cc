#include "exporters/static_flamegraph.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "exporters/clean_text.h"

namespace whyslow {
namespace {

// Pixels, as in viewer/flamegraph.js.
constexpr int kRow = 18;
constexpr int kPadding = 12;
constexpr int kTextPadding = 4;
// Coarser than the script's, which can zoom: what is less than this cannot be seen in a still
// picture and would double the file.
constexpr double kSmallest = 0.5;
constexpr double kRoomForText = 24;
constexpr int kHeadWithoutLegend = 54;
constexpr int kLegendRow = 20;
constexpr int kFooter = 34;
// No character of the faces asked for is wider in the mean; boxes cut off what is.
constexpr int kCharacterWidth = 7;
constexpr int kSwatch = 18;

struct LegendEntry {
  int x;
  int row;
};

std::vector<LegendEntry> PlaceLegend(const FlameColors& colors) {
  std::vector<LegendEntry> places;
  int x = kPadding;
  int row = 0;
  for (const auto& [color, words] : colors.legend()) {
    const int width = kSwatch + kCharacterWidth * static_cast<int>(CountCharacters(words)) + 14;
    if (x > kPadding && x + width > kFlamegraphWidth - kPadding) {
      x = kPadding;
      ++row;
    }
    places.push_back({x, row});
    x += width;
  }
  return places;
}

int HeadHeight(const FlameColors& colors) {
  const std::vector<LegendEntry> places = PlaceLegend(colors);
  return kHeadWithoutLegend + (places.empty() ? 0 : (places.back().row + 1) * kLegendRow) + 6;
}

std::vector<int> DepthsOf(const FlameTree& tree) {
  std::vector<int> depths(tree.nodes.size());
  for (size_t i = 1; i < tree.nodes.size(); ++i) {
    depths[i] = depths[tree.nodes[i].parent] + 1;
  }
  return depths;
}

// Draws node by node from the left; children go where their parent begins, one after the other.
class Painter {
 public:
  Painter(const FlamegraphPicture& picture, std::ostream& out) : picture_(picture), out_(out) {}

  void PaintHead() {
    out_ << "<text class=\"heading\" x=\"" << kPadding << "\" y=\"24\">"
         << EscapeXml(picture_.title.target) << "</text>\n";
    out_ << "<text class=\"quiet\" x=\"" << kPadding << "\" y=\"43\">"
         << EscapeXml(picture_.title.details) << "</text>\n";
    const std::vector<LegendEntry> places = PlaceLegend(picture_.colors);
    for (size_t i = 0; i < places.size(); ++i) {
      const auto& [color, words] = picture_.colors.legend()[i];
      const int y = kHeadWithoutLegend + places[i].row * kLegendRow;
      out_ << absl::StrFormat(
          "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"13\" height=\"13\"/>"
          "<text x=\"%d\" y=\"%d\">%s</text>\n",
          color, places[i].x, y, places[i].x + kSwatch, y + 11, EscapeXml(words));
    }
  }

  void PaintFrames() {
    const FlameTree& tree = picture_.tree;
    const int head = HeadHeight(picture_.colors);
    const std::vector<int> depths = DepthsOf(tree);
    const double scale = tree.root().total > 0 ? (kFlamegraphWidth - 2.0 * kPadding) /
                                                     static_cast<double>(tree.root().total)
                                               : 0;
    std::vector<double> left(tree.nodes.size(), kPadding);
    for (size_t i = 0; i < tree.nodes.size(); ++i) {
      const FlameNode& node = tree.nodes[i];
      double next = left[i];
      for (const uint32_t child : node.children) {
        left[child] = next;
        next += static_cast<double>(tree.nodes[child].total) * scale;
      }
      const double width = static_cast<double>(node.total) * scale;
      if (width >= kSmallest) {
        PaintFrame(i, left[i], head + depths[i] * kRow, width);
      } else if (i > 0) {
        ++not_drawn_;
      }
    }
  }

  void PaintFooter() {
    std::string text;
    if (picture_.tree.nodes.size() == 1 && picture_.tree.root().total == 0) {
      text = "The profile has no samples. ";
    }
    if (not_drawn_ > 0) {
      text += absl::StrFormat("%d %s narrower than %g px not drawn. ", not_drawn_,
                              not_drawn_ == 1 ? "frame" : "frames", kSmallest);
    }
    if (picture_.tree.negative_samples_left_out > 0) {
      text += absl::StrFormat("%d samples with negative values left out.",
                              picture_.tree.negative_samples_left_out);
    }
    out_ << absl::StrFormat("<text class=\"quiet footer\" x=\"%d\" y=\"%d\">%s</text>\n", kPadding,
                            StaticFlamegraphHeight(picture_) - 12, text);
  }

 private:
  std::string TitleOfNode(size_t index, const std::string& name) const {
    const int64_t value = picture_.tree.nodes[index].total;
    const double share =
        100.0 * static_cast<double>(value) / static_cast<double>(picture_.tree.root().total);
    return EscapeXml(
        absl::StrFormat("%s: %s, %.2f %%", name, ReadableValue(value, picture_.shown), share));
  }

  void PaintFrame(size_t index, double x, int y, double width) {
    const bool is_root = index == 0;
    const FlameFrame whole{.name = "all", .leading = true};
    const FlameFrame& frame = is_root ? whole : picture_.tree.FrameOf(picture_.tree.nodes[index]);
    const std::string color = picture_.colors.ClassOf(frame);
    const std::string title = TitleOfNode(index, frame.name);
    if (width < kRoomForText) {
      out_ << absl::StrFormat(
          "<rect class=\"%s\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\"><title>%s</title>"
          "</rect>\n",
          color, x, y, width > 2 ? width - 0.6 : width, kRow - 1, title);
      return;
    }
    // The svg element around box and name cuts the name off at the box's end.
    out_ << absl::StrFormat(
        "<svg class=\"%s%s\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" overflow=\"hidden\">"
        "<title>%s</title><rect width=\"100%%\" height=\"100%%\" rx=\"2\"/>"
        "<text x=\"%d\" y=\"13\">%s</text></svg>\n",
        color, color.ends_with('i') ? " i" : "", x, y, width - 0.6, kRow - 1, title, kTextPadding,
        EscapeXml(Shortened(frame.name, width - 0.6 - 2 * kTextPadding)));
  }

  static std::string Shortened(const std::string& name, double room) {
    const auto fit = static_cast<size_t>(std::max(room / kCharacterWidth, 1.0));
    if (CountCharacters(name) <= fit) {
      return name;
    }
    return std::string(FirstCharacters(name, fit - 1)) + "…";
  }

  const FlamegraphPicture& picture_;
  std::ostream& out_;
  size_t not_drawn_ = 0;
};

}  // namespace

int StaticFlamegraphHeight(const FlamegraphPicture& picture) {
  const std::vector<int> depths = DepthsOf(picture.tree);
  return HeadHeight(picture.colors) + (*std::max_element(depths.begin(), depths.end()) + 1) * kRow +
         kFooter;
}

void WriteStaticFlamegraph(const FlamegraphPicture& picture, std::ostream& out) {
  Painter painter(picture, out);
  painter.PaintHead();
  painter.PaintFrames();
  painter.PaintFooter();
}

}  // namespace whyslow
