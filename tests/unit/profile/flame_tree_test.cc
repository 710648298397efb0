#include "profile/flame_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "profile/profile_builder.h"

namespace whyslow {
namespace {

using testing::ElementsAre;

class FlameTreeTest : public testing::Test {
 protected:
  FlameTreeTest() { builder_.SetValueTypes({{"samples", "count"}}); }

  LocationIndex At(std::string_view name, std::string_view module = "/bin/app",
                   ModuleKind kind = ModuleKind::kFile, std::string_view file = "") {
    const ModuleIndex row = builder_.AddModule({.kind = kind, .path = builder_.AddString(module)});
    const FunctionIndex function =
        builder_.AddFunction({.name = builder_.AddString(name), .file = builder_.AddString(file)});
    return builder_.AddNamedLocation(row, function, 0);
  }

  void Add(std::vector<LocationIndex> leaf_first, int64_t value) {
    builder_.AddSample(builder_.AddStack(leaf_first), LabelSetIndex(), {{value}});
  }

  FlameTree Tree() {
    const Profile& profile = builder_.profile();
    return MakeFlameTree(profile, 0, [&](size_t index, std::vector<FlameFrame>& out) {
      AppendFlameFrames(profile, profile.samples[index], out);
    });
  }

  // "name total/self" of each child.
  static std::vector<std::string> ChildrenOf(const FlameTree& tree, const FlameNode& node) {
    std::vector<std::string> out;
    for (uint32_t child : node.children) {
      const FlameNode& row = tree.nodes[child];
      out.push_back(tree.FrameOf(row).name + " " + std::to_string(row.total) + "/" +
                    std::to_string(row.self));
    }
    return out;
  }

  ProfileBuilder builder_;
};

TEST_F(FlameTreeTest, StacksShareTheirCallers) {
  Add({At("read"), At("main")}, 3);
  Add({At("write"), At("main")}, 4);
  Add({At("main")}, 5);

  const FlameTree tree = Tree();

  EXPECT_EQ(tree.root().total, 12);
  EXPECT_THAT(ChildrenOf(tree, tree.root()), ElementsAre("main 12/5"));
  EXPECT_THAT(ChildrenOf(tree, tree.nodes[tree.root().children[0]]),
              ElementsAre("read 3/3", "write 4/4"));
}

TEST_F(FlameTreeTest, ChildrenStandInOrderOfName) {
  Add({At("b")}, 1);
  Add({At("c")}, 1);
  Add({At("a")}, 1);

  const FlameTree tree = Tree();

  EXPECT_THAT(ChildrenOf(tree, tree.root()), ElementsAre("a 1/1", "b 1/1", "c 1/1"));
}

TEST_F(FlameTreeTest, FramesOfOneNameInTwoModulesStayApart) {
  Add({At("init", "/lib/a.so")}, 1);
  Add({At("init", "/lib/b.so")}, 2);
  Add({At("init", "/lib/b.so", ModuleKind::kKernel)}, 4);

  const FlameTree tree = Tree();

  EXPECT_THAT(ChildrenOf(tree, tree.root()), ElementsAre("init 1/1", "init 2/2", "init 4/4"));
}

TEST_F(FlameTreeTest, PythonFunctionsOfTwoFilesStayApartAndNativeOnesMerge) {
  Add({At("get (views.py)", "[python]", ModuleKind::kPython, "/app/a/views.py")}, 1);
  Add({At("get (views.py)", "[python]", ModuleKind::kPython, "/app/b/views.py")}, 2);
  Add({At("push", "/bin/app", ModuleKind::kFile, "vector.h")}, 3);
  Add({At("push", "/bin/app", ModuleKind::kFile, "")}, 4);

  const FlameTree tree = Tree();

  EXPECT_THAT(ChildrenOf(tree, tree.root()),
              ElementsAre("get (views.py) 1/1", "get (views.py) 2/2", "push 7/7"));
}

TEST_F(FlameTreeTest, RecursionIsOneNodeALevel) {
  Add({At("f"), At("f"), At("f")}, 2);

  const FlameTree tree = Tree();

  EXPECT_EQ(tree.nodes.size(), 4U);
  EXPECT_EQ(tree.frames.size(), 1U);
}

TEST_F(FlameTreeTest, ASampleWithoutAStackCountsForTheWhole) {
  Add({}, 2);

  const FlameTree tree = Tree();

  EXPECT_EQ(tree.root().self, 2);
  EXPECT_EQ(tree.root().total, 2);
}

TEST_F(FlameTreeTest, SamplesOfNothingLeaveNoTraceAndNegativeOnesAreCounted) {
  Add({At("idle")}, 0);
  Add({At("gone")}, -5);
  Add({At("busy")}, 1);

  const FlameTree tree = Tree();

  EXPECT_THAT(ChildrenOf(tree, tree.root()), ElementsAre("busy 1/1"));
  EXPECT_EQ(tree.negative_samples_left_out, 1U);
}

TEST_F(FlameTreeTest, TotalsStopAtTheLargestNumber) {
  Add({At("a")}, std::numeric_limits<int64_t>::max());
  Add({At("b")}, std::numeric_limits<int64_t>::max());

  EXPECT_EQ(Tree().root().total, std::numeric_limits<int64_t>::max());
}

TEST_F(FlameTreeTest, ADeepStackNeedsNoDeepRecursion) {
  std::vector<LocationIndex> stack;
  for (int i = 0; i < 100'000; ++i) {
    stack.push_back(builder_.AddLocation(ModuleIndex(), static_cast<uint64_t>(i)));
  }
  Add(stack, 1);

  EXPECT_EQ(Tree().nodes.size(), 100'001U);
}

}  // namespace
}  // namespace whyslow
