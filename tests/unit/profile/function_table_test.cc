#include "profile/function_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "profile/profile_builder.h"

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FunctionTableTest : public ::testing::Test {
 protected:
  FunctionTableTest() { builder_.SetValueTypes({{"samples", "count"}, {"cpu", "nanoseconds"}}); }

  LocationIndex At(std::string_view name, std::string_view file = "", int64_t line = 0) {
    const FunctionIndex function =
        builder_.AddFunction({.name = builder_.AddString(name), .file = builder_.AddString(file)});
    return builder_.AddNamedLocation(builder_.AddModule({}), function, line);
  }

  void Add(std::vector<LocationIndex> leaf_first, int64_t value, std::vector<Label> labels = {}) {
    builder_.AddSample(builder_.AddStack(leaf_first), builder_.AddLabels(labels), {{1, value}});
  }

  // "name self/total" a row.
  std::vector<std::string> Rows(GroupBy by = GroupBy::kFunction) {
    std::vector<std::string> rows;
    for (const TableRow& row : MakeFunctionTable(builder_.profile(), 1, by).rows) {
      std::string name = row.name;
      name += row.line == 0 ? "" : ":" + std::to_string(row.line);
      name += row.number == 0 ? "" : "#" + std::to_string(row.number);
      rows.push_back(name + " " + std::to_string(row.self) + "/" + std::to_string(row.total));
    }
    return rows;
  }

  ProfileBuilder builder_;
};

TEST_F(FunctionTableTest, SelfIsTheLeafsAndTotalIsEverybodysOnTheStack) {
  Add({At("read"), At("serve"), At("main")}, 30);
  Add({At("serve"), At("main")}, 10);
  Add({At("main")}, 5);

  EXPECT_THAT(Rows(), ElementsAre("read 30/30", "serve 10/40", "main 5/45"));
}

TEST_F(FunctionTableTest, ARecursiveFunctionCountsOncePerStack) {
  Add({At("fib"), At("fib"), At("fib"), At("main")}, 7);
  Add({At("leaf"), At("fib"), At("fib"), At("main")}, 3);

  EXPECT_THAT(Rows(), ElementsAre("fib 7/10", "leaf 3/3", "main 0/10"));
}

TEST_F(FunctionTableTest, OfInlinedFramesOnlyTheInnermostIsSelf) {
  Location location;
  location.module = builder_.AddModule({});
  location.address = 0x10;
  for (const char* name : {"inlined", "caller"}) {
    location.lines.push_back(
        {.function = builder_.AddFunction({.name = builder_.AddString(name)}), .line = 1});
  }
  Add({builder_.AddLocation(location), At("main")}, 4);

  EXPECT_THAT(Rows(), ElementsAre("inlined 4/4", "caller 0/4", "main 0/4"));
}

TEST_F(FunctionTableTest, EqualNamesInDifferentFilesAreDifferentFunctions) {
  Add({At("run", "a.py")}, 2);
  Add({At("run", "b.py")}, 1);

  EXPECT_THAT(Rows(), ElementsAre("run 2/2", "run 1/1"));
}

TEST_F(FunctionTableTest, LinesOfOneFunctionAreToldApartOnlyByLine) {
  Add({At("f", "f.c", 10), At("main", "f.c", 3)}, 2);
  Add({At("f", "f.c", 11), At("main", "f.c", 3)}, 1);

  EXPECT_THAT(Rows(), ElementsAre("f 3/3", "main 0/3"));
  EXPECT_THAT(Rows(GroupBy::kLine), ElementsAre("f:10 2/2", "f:11 1/1", "main:3 0/3"));
}

TEST_F(FunctionTableTest, ThreadsAndProcessesAreToldByLabels) {
  const Label worker = builder_.TextLabel("thread", "worker");
  const Label process = builder_.TextLabel("process", "app");
  Add({At("a")}, 5, {worker, builder_.NumberLabel("tid", 11), process});
  Add({At("b")}, 3, {worker, builder_.NumberLabel("tid", 12), process});
  Add({At("c")}, 1);

  EXPECT_THAT(Rows(GroupBy::kThread), ElementsAre("worker#11 5/5", "worker#12 3/3", " 1/1"));
  EXPECT_THAT(Rows(GroupBy::kProcess), ElementsAre("app 8/8", " 1/1"));
}

TEST_F(FunctionTableTest, EmptyStacksCountInTheWholeOnly) {
  builder_.AddSample(StackIndex(), LabelSetIndex(), {{1, 6}});
  Add({At("main")}, 4);

  EXPECT_EQ(MakeFunctionTable(builder_.profile(), 1, GroupBy::kFunction).total, 10);
  EXPECT_THAT(Rows(), ElementsAre("main 4/4"));
}

TEST_F(FunctionTableTest, SumsStopAtTheGreatestNumber) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  Add({At("a"), At("main")}, kMost);
  Add({At("b"), At("main")}, kMost);

  const FunctionTable table = MakeFunctionTable(builder_.profile(), 1, GroupBy::kFunction);

  EXPECT_EQ(table.total, kMost);
  EXPECT_EQ(table.rows.back().total, kMost);
}

TEST_F(FunctionTableTest, KnowsWhatItsNumbersAre) {
  const FunctionTable table = MakeFunctionTable(builder_.profile(), 1, GroupBy::kFunction);

  EXPECT_EQ(table.type, "cpu");
  EXPECT_EQ(table.unit, "nanoseconds");
}

TEST_F(FunctionTableTest, AColumnThatIsNotThereGivesAnEmptyTable) {
  Add({At("main")}, 4);

  EXPECT_THAT(MakeFunctionTable(builder_.profile(), 2, GroupBy::kFunction).rows, IsEmpty());
  EXPECT_THAT(MakeFunctionTable(Profile(), 0, GroupBy::kFunction).rows, IsEmpty());
}

}  // namespace
}  // namespace whyslow
